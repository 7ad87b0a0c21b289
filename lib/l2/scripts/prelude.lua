-- What all scripts share. KEYS[1] is the metadata hash, KEYS[2] the log. The hash holds:
--   epoch  8 bytes     which history this is
--   seq                the latest position
--   token  8 bytes     of that position; a chain that tells two histories with the same epoch apart (see coherence.c)
--   h                  the horizon: marks of tags that were dropped are not higher
--   a, n<name>, t<hash>  marks: of everything, of namespaces, of tags
--   k<slot>            the latest position of a change of a key in that slot
local meta, log = KEYS[1], KEYS[2]

-- epoch, seq, token; a new history where there is none
local function history(fresh, token)
  local h = redis.call('HMGET', meta, 'epoch', 'seq', 'token')
  if h[1] and h[2] and h[3] then return h end
  redis.call('DEL', meta, log)
  redis.call('HSET', meta, 'epoch', fresh, 'seq', '0', 'token', token)
  return {fresh, '0', token}
end

-- Issues the next position, as text, and puts it into the log. h becomes what it was before no more.
local function issue(h, token, keep, names)
  local p = string.format('%.0f', redis.call('HINCRBY', meta, 'seq', 1))
  redis.call('HSET', meta, 'token', token)
  redis.call('XADD', log, 'MAXLEN', '~', keep, p .. '-0', 'c', h[3], 't', token, 'n', names)
  h[2], h[3] = p, token
  return p
end

local function halves(n)
  return n % 4294967296, math.floor(n / 4294967296)
end

local function redis_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The first 40 bytes of an envelope (envelope.h)
local function script_part(epoch, stamp, born, expiry)
  local e1, e2 = struct.unpack('<I4I4', epoch)
  local s1, s2 = halves(stamp)
  local b1, b2 = halves(born)
  local x1, x2 = halves(expiry)
  local fold = (e1 * 3 + e2 * 5 + s1 * 7 + s2 * 9 + b1 * 11 + b2 * 13 + x1 * 15 + x2 * 17) % 4294967291
  return '\143LC\1' .. struct.pack('<I4', fold) .. epoch .. struct.pack('<I4I4I4I4I4I4', s1, s2, b1, b2, x1, x2)
end

-- Writes a value. In one call of a script the epoch and the time of birth are the same for all, and most often all else as well.
local written = {}
local function write(key, epoch, stamp, born, ttl, rest)
  if written.stamp ~= stamp or written.ttl ~= ttl then
    local expiry = 0
    if ttl > 0 then expiry = born + ttl end
    written = {stamp = stamp, ttl = ttl, head = script_part(epoch, stamp, born, expiry), px = string.format('%.0f', ttl)}
  end
  local bytes = written.head .. rest
  if ttl > 0 then redis.call('SET', key, bytes, 'PX', written.px) else redis.call('SET', key, bytes) end
end

-- The head of a valid envelope, decoded, or nil
local function live(key, h)
  local head = redis.pcall('GETRANGE', key, 0, 79)
  if type(head) ~= 'string' or #head < 80 or string.sub(head, 1, 4) ~= '\143LC\1' or string.sub(head, 9, 16) ~= h[1] then
    return nil
  end
  local s1, s2, b1, b2, x1, x2 = struct.unpack('<I4I4I4I4I4I4', head, 17)
  local n, ns_size = string.byte(head, 51), string.byte(head, 52)
  local e = { stamp = s1 + s2 * 4294967296, born = b1 + b2 * 4294967296, expiry = x1 + x2 * 4294967296,
              flags = string.byte(head, 49), at = 80 + n * 8 + ns_size + struct.unpack('<I2', head, 53) }
  local names = redis.call('GETRANGE', key, 80, 79 + n * 8 + ns_size)
  local fields = {'h', 'a', 'n' .. string.sub(names, n * 8 + 1)}
  for i = 1, n do fields[3 + i] = 't' .. string.sub(names, i * 8 - 7, i * 8) end
  local marks = redis.call('HMGET', meta, unpack(fields))
  local horizon = tonumber(marks[1] or 0)
  for i = 2, #fields do
    if tonumber(marks[i] or (i > 3 and horizon) or 0) > e.stamp then return nil end
  end
  return e
end

