#!/usr/bin/env bash
# Traces a live segment, and replays what was seen: what the trace says must be what the hosts did, and a replay of a sample with the live
# cache's memory must miss as often as that did.
#
#   tests/tool_trace.sh TOOL TOOL-HOST      (make print-tool), with BUILD/bin/bench-replay beside it
set -u
cd "$(dirname "$0")/.." || exit 1
source tests/tool/support.sh
replay=${BUILD:-build}/bin/bench-replay

# ---- Bad input --------------------------------------------------------------------------------------------------------

t=tool-trace-$$
segments="$t"
complains 2 'say which segment' "$tool" trace
for rate in 0 1.5 x 1%x nan ''; do
    complains 2 '--rate' "$tool" trace -n $t --rate "$rate"
done
complains 2 '--seconds' "$tool" trace -n $t --seconds 5
complains 2 '--output' "$tool" trace -n $t --json
complains 3 'there is no' "$tool" trace -n $t

# ---- Everything that two hosts do -----------------------------------------------------------------------------------------

host_start A --memory 8388608 $t
host_start B --memory 8388608 $t
complains 5 'No such file' "$tool" trace -n $t -o /nonexistent/trace
complains 1 "none of that name" "$tool" trace -n $t -N nobody --seconds 10ms
tell A "set user 0 10 100 t" ok
tell B "get user 0 1" "1 0"

trace_start() { # arguments
    rm -f "$scratch/trace"
    "$tool" trace -n $t -o "$scratch/trace" --json "$@" >"$scratch/told" 2>"$err" &
    tracer=$!
    started="$started $tracer"
    wait_until 'the trace has begun' test -s "$scratch/trace"
}
trace_end() { # signal, the status wanted
    kill -"$1" $tracer
    { wait $tracer; } 2>/dev/null
    [ $? = "$2" ] || depth=1 fail "the trace does not end with $2"
}
lines() { grep -v '^#' "$scratch/trace"; }

trace_start --rate 1
complains 5 'is tracing' "$tool" trace -n $t --seconds 10ms
tell A "get user 8 4" "2 2"     # the first miss is when A notices
tell B "get user 900 1" "0 1"   # as is this, B
tell A "get user 0 3" "3 0"
tell B "set user 20 2 50" ok
tell B "get user 20 1" "1 0"
tell B "delete user 20 1" ok
trace_end INT 0
cp "$scratch/told" "$out"
json 'd["rate"] == 1 and d["records"] == 8 and d["reads"] == 9 and d["dropped"] == 0 and d["segment"].startswith("tool-trace")'
head -1 "$scratch/trace" | grep -qx '# libcache trace 1' || fail "the file does not say what it is"
grep -q '^# namespace 0 user$' "$scratch/trace" || fail "the namespace has no name"
grep -q '^# end reads 9 records 8 dropped 0 ' "$scratch/trace" || fail "the end is wrong: $(tail -1 "$scratch/trace")"
seen=$(lines | awk '{ printf "%s/%s/%s ", $2, $3, $4 }')
[ "$seen" = "-/3/miss 100/2/hit 100/2/hit 100/2/hit 50/3/set 50/3/set 50/3/hit -/3/delete " ] || fail "the trace has $seen"
lines | awk '{ print $1 }' | grep -qvE '^[0-9a-f]{16}$' && fail "a key is no hash"
[ "$(lines | awk 'NR == 5 || NR == 7 || NR == 8 { print $1 }' | sort -u | wc -l)" = 1 ] || fail "one key has several names"
grep -qE 'k(0|1|2|20|900)\b' "$scratch/trace" && fail "a key's name is in the trace"

# A tracer that is killed leaves nothing behind that would hold up the next one.
trace_start
trace_end KILL 137
tell A "get user 0 3" "3 0"
wants 0 "$tool" trace -n $t --seconds 20ms --rate 50% -o "$scratch/trace" --json
json 'd["rate"] == 0.5'
complains 1 "none of that name" "$tool" trace -n $t -N nobody --seconds 10ms
"$tool" trace -n $t --seconds 20ms 2>"$err" | grep -q '^# end ' || fail "standard output does not get the trace"
grep -q 'records of' "$err" || fail "what came of it is not told on standard error"

# ---- A sample, replayed ---------------------------------------------------------------------------------------------------

tell_traffic() { # letter, gets, seed
    ask "$1" "traffic shop 150000 $2 200 $3"
}
tell_traffic A 200000 1
tell_traffic B 200000 2
hear A warm
hear B warm
trace_start --rate 0.1 --namespace shop
tell_traffic A 300000 3
tell_traffic B 300000 4
hear A did_a
hear B did_b
trace_end TERM 0
cp "$scratch/told" "$out"
json '599000 <= d["reads"] <= 600000 and d["dropped"] < 1000 and d["records"] > 50000'
"$replay" --json --policy lru --memory 4MiB,8MiB,32MiB "$scratch/trace" >"$scratch/replayed" || fail "the trace cannot be replayed"
did="$did_a $did_b" python "
rows = [json.loads(line) for line in open(scratch + '/replayed')]
gets_a, hits_a, gets_b, hits_b = map(int, os.environ['did'].split())
live = 1 - (hits_a + hits_b) / (gets_a + gets_b)
by = {r['memory_bytes'] >> 20: r['miss_ratio'] for r in rows}
what = f'live {live:.4f}, replayed {by}'
assert rows[0]['live_memory_bytes'] == 8 << 20 and rows[0]['rate'] == 0.1, rows[0]
assert 0.25 < live < 0.75, what
# which keys are in the sample is luck: a standard deviation of 0.005
assert abs(rows[0]['live_miss_ratio'] - live) < 0.025, (rows[0]['live_miss_ratio'], what)
assert abs(by[8] - live) < 0.03, what
assert by[4] > by[8] + 0.05 > by[32] + 0.1, what
assert all(r['lru_miss_ratio'] > 0 for r in rows)"
"$replay" "$scratch/trace" | grep -q '10 % of the keys of a live cache of 8.0 MiB' || fail "the replay's heading does not say what it is"
[ "$("$replay" --json "$scratch/trace" | wc -l)" = 4 ] || fail "without --memory, not four sizes are replayed: a quarter is too small"
"$replay" --memory 64KiB "$scratch/trace" 2>&1 | grep -q 'trace more' || fail "too small a cache is not refused"
for bad in 0MiB 5 xMiB ''; do
    "$replay" --memory "$bad" "$scratch/trace" >/dev/null 2>&1 && fail "--memory '$bad' is not refused"
done
for bad in '# rate 2' 'aa 1 2 hit 3' 'aa 1 2 frob 3 0' 'aa - 2 set 3 0' 'aa x 2 hit 3 0'; do
    printf '# libcache trace 1\n%s\n' "$bad" >"$scratch/bad"
    "$replay" "$scratch/bad" 2>&1 | grep -q 'bad:2: ' || fail "'$bad' is not refused by its line"
done
host_end A
host_end B

finish "tool, traces"
