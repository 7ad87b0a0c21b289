-- Stores values, all of them with one position. KEYS: meta, log, keys...
-- ARGV: fresh epoch, token, length of the log, names for the log ('': tell nobody), '1' to store only where nothing valid is (one
-- key), then for each key: field of its key slot, ttl in ms (0: none), the client's part of the envelope
local h = history(ARGV[1], ARGV[2])
if ARGV[5] == '1' and live(KEYS[3], h) then return {0, h[1], h[2], h[3]} end
if ARGV[4] ~= '' then
  local p = issue(h, ARGV[2], ARGV[3], ARGV[4])
  local fields = {}
  for i = 6, #ARGV, 3 do fields[#fields + 1], fields[#fields + 2] = ARGV[i], p end
  redis.call('HSET', meta, unpack(fields))
end
local stamp, now = tonumber(h[2]), redis_ms()
for i = 6, #ARGV, 3 do write(KEYS[i / 3 + 1], h[1], stamp, now, tonumber(ARGV[i + 1]), ARGV[i + 2]) end
return {1, h[1], h[2], h[3]}
