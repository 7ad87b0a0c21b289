-- Stores what loads found, unless that may be old by now. KEYS: meta, log, keys...
-- ARGV: epoch, then for each key: stamp, field of its key slot, ttl in ms (0: none), the client's part of the envelope
-- Answers 1, epoch, seq, token, and for each key whether it was stored: '1' or '0'.
local fields = {'epoch', 'seq', 'token'}
for i = 3, #ARGV, 4 do fields[#fields + 1] = ARGV[i] end
local h = redis.call('HMGET', meta, unpack(fields))
local now, stored = redis_ms(), {}
local function fill(key, stamp, slot, ttl, rest)
  if h[1] ~= ARGV[1] or stamp > tonumber(h[2]) or tonumber(slot or 0) > stamp then return '0' end
  local old = redis.pcall('GETRANGE', key, 0, 48)
  if type(old) == 'string' and #old == 49 and string.sub(old, 1, 4) == '\143LC\1' and string.sub(old, 9, 16) == h[1] then
    local s1, s2 = struct.unpack('<I4I4', old, 17)
    if s1 + s2 * 4294967296 > stamp or math.floor(string.byte(old, 49) / 4) % 2 == 1 then return '0' end
  end
  write(key, h[1], stamp, now, ttl, rest)
  return '1'
end
for i = 1, #KEYS - 2 do
  local at = 4 * i - 2
  stored[i] = fill(KEYS[i + 2], tonumber(ARGV[at]), h[i + 3], tonumber(ARGV[at + 2]), ARGV[at + 3])
end
return {1, h[1], h[2], h[3], table.concat(stored)}
