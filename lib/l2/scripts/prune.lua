-- Forgets old marks of tags, a few at a time, where there are too many. KEYS: meta, log
-- ARGV: how many positions to keep, cursor. Answers the next cursor.
local seq = tonumber(redis.call('HGET', meta, 'seq') or 0)
local horizon = tonumber(redis.call('HGET', meta, 'h') or 0)
if ARGV[2] == '0' and seq - tonumber(ARGV[1]) > horizon then
  horizon = seq - tonumber(ARGV[1])
  redis.call('HSET', meta, 'h', string.format('%.0f', horizon))
end
local r = redis.call('HSCAN', meta, ARGV[2], 'COUNT', 1000)
for i = 1, #r[2], 2 do
  if string.sub(r[2][i], 1, 1) == 't' and #r[2][i] == 9 and tonumber(r[2][i + 1]) <= horizon then redis.call('HDEL', meta, r[2][i]) end
end
return r[1]
