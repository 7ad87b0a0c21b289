-- The first word on a connection: is the history still the one that this host knows?
-- KEYS: meta, log  ARGV: fresh epoch, token, then what the host knows: epoch ('': nothing), position, token
-- Answers how it goes on (1: on from there; 2: the same epoch, but more has happened than the log can tell; 3: another
-- epoch), epoch, seq, token, ms,
-- and the epoch that the host knew
-- A counter below what the host has seen, or another token at its position: Redis came back as an older copy. Whatever
-- was stored since that copy was made, here or by loads still under way, belongs to a history that is gone: a new epoch.
local h = history(ARGV[1], ARGV[2])
local goes_on = 3
if ARGV[3] ~= '' and ARGV[3] == h[1] then
  local seq, known = tonumber(h[2]), tonumber(ARGV[4])
  local token = h[3]
  if seq > known and known > 0 then
    local r = redis.call('XRANGE', log, ARGV[4] .. '-0', ARGV[4] .. '-0')
    token = r[1] and r[1][2][4]
  elseif seq > known then
    token = ARGV[5]
    local r = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)
    if not r[1] or r[1][1] ~= '1-0' then token = nil elseif r[1][2][2] ~= ARGV[5] then token = '' end
  end
  if seq < known or (token and token ~= ARGV[5]) then
    redis.call('DEL', meta)
    h = history(ARGV[1], ARGV[2])
  else
    goes_on = token and 1 or 2
  end
end
return {goes_on, h[1], h[2], h[3], redis_ms(), ARGV[3]}
