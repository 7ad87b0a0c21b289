-- Stores what a load found, unless that may be old by now. KEYS: meta, log, key
-- ARGV: epoch, stamp, field of the key slot, ttl in ms (0: none), the client's part of the envelope
local h = redis.call('HMGET', meta, 'epoch', 'seq', 'token', ARGV[3])
local stamp = tonumber(ARGV[2])
if h[1] ~= ARGV[1] or stamp > tonumber(h[2]) or tonumber(h[4] or 0) > stamp then return {0, h[1], h[2], h[3]} end
local old = redis.pcall('GETRANGE', KEYS[3], 0, 48)
if type(old) == 'string' and #old == 49 and string.sub(old, 1, 4) == '\143LC\1' and string.sub(old, 9, 16) == h[1] then
  local s1, s2 = struct.unpack('<I4I4', old, 17)
  if s1 + s2 * 4294967296 > stamp or math.floor(string.byte(old, 49) / 4) % 2 == 1 then return {0, h[1], h[2], h[3]} end
end
write(KEYS[3], h[1], stamp, redis_ms(), tonumber(ARGV[4]), ARGV[5])
return {1, h[1], h[2], h[3]}
