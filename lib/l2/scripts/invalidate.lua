-- KEYS: meta, log, keys to delete...  ARGV: fresh epoch, token, length of the log, names for the log, fields to mark...
-- Deletes first, so that an answer of "no memory" has deleted all the same. Answers 1, epoch, seq, token, and for each key
-- whether there was a value: '1' or '0'.
local gone = {}
for i = 3, #KEYS do gone[i - 2] = redis.call('UNLINK', KEYS[i]) end
local h = history(ARGV[1], ARGV[2])
local p = issue(h, ARGV[2], ARGV[3], ARGV[4])
for i = 5, #ARGV do redis.call('HSET', meta, ARGV[i], p) end
return {1, h[1], p, h[3], table.concat(gone)}
