-- Makes a counter of a decimal text, if that is still what it was; stamp, birth and expiry stay.
-- KEYS: meta, log, key  ARGV: fresh epoch, token, length of the log, names for the log, field of the key slot, the first
-- 48 bytes as they were, the client's part of the new envelope
local h = history(ARGV[1], ARGV[2])
local old = redis.pcall('GETRANGE', KEYS[3], 0, 47)
if old ~= ARGV[6] then return {0, h[1], h[2], h[3]} end
local ttl = redis.call('PTTL', KEYS[3])
if ARGV[4] ~= '' then redis.call('HSET', meta, ARGV[5], issue(h, ARGV[2], ARGV[3], ARGV[4])) end
local bytes = string.sub(old, 1, 40) .. ARGV[7]
if ttl > 0 then redis.call('SET', KEYS[3], bytes, 'PX', ttl) else redis.call('SET', KEYS[3], bytes) end
return {1, h[1], h[2], h[3]}
