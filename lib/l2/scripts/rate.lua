-- Counts a hit in a window that begins with its first one. KEYS: meta, log, counter  ARGV: window in ms
local n = redis.call('INCR', KEYS[3])
local left = redis.call('PTTL', KEYS[3])
if n == 1 or left < 0 then
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
  left = tonumber(ARGV[1])
end
return {n, left}
