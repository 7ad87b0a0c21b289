-- Asks for the lease of a load. KEYS: meta, log, lease, who waits  ARGV: owner, for how many ms
-- 1: it is ours. 0: another has it; he will tell us when he gives it back.
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1} end
redis.call('SET', KEYS[4], '1', 'PX', ARGV[2])
return {0}
