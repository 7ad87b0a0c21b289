-- KEYS: meta, log, keys to delete...  ARGV: fresh epoch, token, length of the log, names for the log, fields to mark...
-- Deletes first, so that an answer of "no memory" has deleted all the same.
local gone = 0
for i = 3, #KEYS do gone = gone + redis.call('UNLINK', KEYS[i]) end
local h = history(ARGV[1], ARGV[2])
local p = issue(h, ARGV[2], ARGV[3], ARGV[4])
for i = 5, #ARGV do redis.call('HSET', meta, ARGV[i], p) end
return {gone, h[1], p, h[3]}
