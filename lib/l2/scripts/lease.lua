-- Leases of loads: for each one key with an owner and an end, and a note by who waits for it.
-- KEYS: meta, log, then for each load: its value, its lease, who waits
-- ARGV: fresh epoch, token, length of the log, what, ttl of the lease, soft ttl (0: none) and grace of values in ms, what time it is
-- here by the client's reckoning (which is by what it will judge the value), then for each load:
-- owner, how far ahead it looks in ms, '1' if it waits when it does not get the lease, name for the log
-- Answers 1, epoch, seq, token, and for each load a character. what:
--   take   '1': ours now; '0': another's, who wakes us through the log if we wait; '2': a fresh value is there, nobody need load
--   free   '1': it was ours and is given back; '0': it was not. Nobody is told where nobody waits
local what, answers, names = ARGV[4], {}, ''
local h = redis.call('HMGET', meta, 'epoch', 'seq', 'token')
local ttl, soft, grace, now = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

-- 1: it needs no load by who looks so far ahead
local function fresh(key, ahead)
  local e = h[1] and live(key, h)
  if not e then return false end
  local left = math.huge
  if e.expiry > 0 then left = e.expiry - now - grace end
  if math.floor(e.flags / 2) % 2 == 1 then return left > 0 end
  if soft > 0 then left = math.min(left, e.born + soft - now) end
  return left > ahead
end

local function take(value, lease, waits, owner, ahead, wait)
  if fresh(value, ahead) then return '2' end
  local has = redis.call('GET', lease)
  if not has or has == owner then
    redis.call('SET', lease, owner, 'PX', ttl)
    return '1'
  end
  if wait == '1' then redis.call('SET', waits, '1', 'PX', math.max(redis.call('PTTL', lease), 1)) end
  return '0'
end

local function free(lease, waits, owner, name)
  if redis.call('GET', lease) ~= owner then return '0' end
  redis.call('DEL', lease)
  if redis.call('DEL', waits) == 1 then names = names .. name end
  return '1'
end

for i = 1, (#KEYS - 2) / 3 do
  local key, arg = 3 * i, 4 * i + 5
  if what == 'free' then
    answers[i] = free(KEYS[key + 1], KEYS[key + 2], ARGV[arg], ARGV[arg + 3])
  else
    answers[i] = take(KEYS[key], KEYS[key + 1], KEYS[key + 2], ARGV[arg], tonumber(ARGV[arg + 1]), ARGV[arg + 2])
  end
end
if names ~= '' then
  h = history(ARGV[1], ARGV[2])
  issue(h, ARGV[2], ARGV[3], names)
end
return {1, h[1], h[2], h[3], table.concat(answers)}
