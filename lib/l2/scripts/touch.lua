-- A new ttl. KEYS: meta, log, key  ARGV: fresh epoch, token, length of the log, names for the log, ttl in ms (0: none)
-- Told to the others only where it ends earlier than their copies believe.
local h = history(ARGV[1], ARGV[2])
local e = live(KEYS[3], h)
if not e then return {0, h[1], h[2], h[3]} end
local ttl, expiry = tonumber(ARGV[5]), 0
if ttl > 0 then expiry = redis_ms() + ttl end
redis.call('SETRANGE', KEYS[3], 0, script_part(h[1], e.stamp, e.born, expiry))
if ttl > 0 then redis.call('PEXPIRE', KEYS[3], ARGV[5]) else redis.call('PERSIST', KEYS[3]) end
if expiry > 0 and (e.expiry == 0 or expiry < e.expiry) and ARGV[4] ~= '' then
  issue(h, ARGV[2], ARGV[3], ARGV[4])
end
return {1, h[1], h[2], h[3]}
