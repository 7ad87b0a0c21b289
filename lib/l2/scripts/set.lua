-- KEYS: meta, log, key  ARGV: fresh epoch, token, length of the log, names for the log ('': tell nobody), field of the
-- key slot, ttl in ms (0: none), '1' to store only where nothing valid is, the client's part of the envelope
local h = history(ARGV[1], ARGV[2])
if ARGV[7] == '1' and live(KEYS[3], h) then return {0, h[1], h[2], h[3]} end
if ARGV[4] ~= '' then
  redis.call('HSET', meta, ARGV[5], issue(h, ARGV[2], ARGV[3], ARGV[4]))
end
write(KEYS[3], h[1], tonumber(h[2]), redis_ms(), tonumber(ARGV[6]), ARGV[8])
return {1, h[1], h[2], h[3]}
