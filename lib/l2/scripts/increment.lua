-- Adds to a counter. KEYS: meta, log, key, scratch  ARGV: fresh epoch, token, length of the log, names for the log, field
-- of the key slot, ttl in ms, delta, '1' to subtract it, the client's part of a new counter's envelope without its number
-- Answers 1 and the number; 2: something is there that is no counter; 4: overflow.
-- Lua's numbers have 53 bits, so Redis itself adds, in a key of its own.
local function number_part(digits)
  local text, sum = string.format('%20s', digits), 0
  for i = 1, 20 do sum = sum + string.byte(text, i) * (2 * i + 1) end
  return text .. struct.pack('<I4', sum)
end

local h = history(ARGV[1], ARGV[2])
local e = live(KEYS[3], h)
if e and math.floor(e.flags / 2) % 2 == 1 then e = nil end
local digits = '0'
if e then
  if math.floor(e.flags / 4) % 2 ~= 1 then return {2, h[1], h[2], h[3]} end
  digits = string.gsub(redis.call('GETRANGE', KEYS[3], e.at, e.at + 19), ' ', '')
end
redis.call('SET', KEYS[4], digits)
local r
if ARGV[8] ~= '1' then
  r = redis.pcall('INCRBY', KEYS[4], ARGV[7])
elseif ARGV[7] == '-9223372036854775808' then
  r = redis.pcall('INCRBY', KEYS[4], '9223372036854775807')
  if type(r) ~= 'table' then r = redis.pcall('INCRBY', KEYS[4], '1') end
else
  r = redis.pcall('DECRBY', KEYS[4], ARGV[7])
end
digits = redis.call('GET', KEYS[4])
redis.call('DEL', KEYS[4])
if type(r) == 'table' then return {4, h[1], h[2], h[3]} end
if e then
  redis.call('SETRANGE', KEYS[3], e.at, number_part(digits))
else
  if ARGV[4] ~= '' then redis.call('HSET', meta, ARGV[5], issue(h, ARGV[2], ARGV[3], ARGV[4])) end
  write(KEYS[3], h[1], tonumber(h[2]), redis_ms(), tonumber(ARGV[6]), ARGV[9] .. number_part(digits))
end
return {1, h[1], h[2], h[3], digits}
