-- Locks of the application: one key with an owner and an end, and a note by who waits for it.
-- KEYS: meta, log, lock, who waits  ARGV: fresh epoch, token, length of the log, names for the log, what, owner, ttl in ms
-- what: take, keep (from now on for ttl), free, break (whoever has it), look. Answers code, epoch, seq, token, owner, ms left.
-- When it is given back and somebody waits, they are woken through the log: nobody polls, and nobody is told where nobody waits.
local owner = redis.call('GET', KEYS[3])
local what, ours = ARGV[5], owner == ARGV[6]
local h = redis.call('HMGET', meta, 'epoch', 'seq', 'token')
local code = 0
if what == 'take' then
  if not owner or ours then
    redis.call('SET', KEYS[3], ARGV[6], 'PX', ARGV[7])
    code = 1
  else
    redis.call('SET', KEYS[4], '1', 'PX', math.max(redis.call('PTTL', KEYS[3]), 1))
  end
elseif what == 'keep' and ours then
  code = redis.call('PEXPIRE', KEYS[3], ARGV[7])
elseif owner and ((what == 'free' and ours) or what == 'break') then
  code = redis.call('DEL', KEYS[3])
  if redis.call('DEL', KEYS[4]) == 1 then
    h = history(ARGV[1], ARGV[2])
    issue(h, ARGV[2], ARGV[3], ARGV[4])
  end
elseif what == 'look' and owner then
  code = 1
end
return {code, h[1], h[2], h[3], owner or '', redis.call('PTTL', KEYS[3])}
