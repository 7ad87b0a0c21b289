-- Gives a lease back, if it is still ours, and wakes who waits for it, if anybody does, through the log.
-- KEYS: meta, log, lease, who waits  ARGV: fresh epoch, token, length of the log, names for the log, owner
local h = history(ARGV[1], ARGV[2])
if redis.call('GET', KEYS[3]) ~= ARGV[5] then return {0, h[1], h[2], h[3]} end
redis.call('DEL', KEYS[3])
if redis.call('DEL', KEYS[4]) == 1 then issue(h, ARGV[2], ARGV[3], ARGV[4]) end
return {1, h[1], h[2], h[3]}
