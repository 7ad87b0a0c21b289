#!/usr/bin/env bash
# Runs the benchmark programs on tiny sizes and looks at what they print, not at how fast they are:
#   - every line of --json is a JSON object with the fields that are promised, and every bench is there;
#   - they refuse what they do not know;
#   - no engine returned a wrong value (they exit with 1 then), and all keys were hit where all fit;
#   - what asks for memory ahead still does so (x86-64): GCC leaves out the calls of a function that does nothing else, and
#     every engine's get then waits for its key first.
# Needs build/bin/bench-l1, bench-l2 and bench-replay (make bench-programs), and redis-server for bench-l2; BUILD is where build/ is.
set -u
cd "$(dirname "$0")/.." || exit 1

bin=${BUILD:-build}/bin
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
    echo "bench_smoke: $*"
    failed=1
}
refuses() {
    "$@" >/dev/null 2>&1 && fail "accepted: $*"
}

string='"[^"\\]*"'
number='(-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?|null)'
rest="(, $string: ($number|$string))*"

# file, then name=kind for each field in its order: every line is an object that starts with these fields.
lines_have() {
    local file=$1 pattern='^\{' separator='' field kind
    shift
    for field; do
        [ "${field#*=}" = string ] && kind=$string || kind=$number
        pattern="$pattern$separator\"${field%=*}\": $kind"
        separator=', '
    done
    [ -s "$file" ] || fail "nothing was printed"
    grep -vE "$pattern$rest\}\$" "$file" && fail "these lines are not as they should be"
}

# ---- bench-l1 -----------------------------------------------------------------------------------------------

"$bin/bench-l1" --tiny --json >"$scratch/l1" || fail "bench-l1 failed"
lines_have "$scratch/l1" bench=string engine=string threads=number keys=number value_bytes=number mix=string \
    ns_per_op=number ops_per_s=number hit_ratio=number
for bench in get mix95 same_pages processes get_many16 chained tags3 latency outside outside95 invalidate memory; do
    grep -q "\"bench\": \"$bench\"" "$scratch/l1" || fail "bench $bench is missing"
done
for engine in $("$bin/bench-l1" --list | awk '$1 == "engine" && NF == 2 { print $2 }'); do
    grep -q "\"bench\": \"get\", \"engine\": \"$engine\"" "$scratch/l1" || fail "engine $engine is missing"
done
for engine in $("$bin/bench-l1" --list | awk '$3 == "(outside)" { print $2 }'); do
    grep -q "\"bench\": \"outside\", \"engine\": \"$engine\"" "$scratch/l1" || fail "engine $engine is missing"
done
grep '"bench": "latency"' "$scratch/l1" | grep -vE '"p50_ns": [0-9.]+, "p90_ns": [0-9.]+, "p99_ns": [0-9.]+, "p99.9_ns"' &&
    fail "latencies lack percentiles"
ls -d /tmp/libcache-bench-* >/dev/null 2>&1 && fail "a directory of a peer was left in /tmp"
grep -E '"bench": "(get|same_pages|processes|get_many16|chained|tags3)", "engine": "libcache' "$scratch/l1" |
    grep -v '"hit_ratio": 1,' && fail "libcache missed where all keys fit"

if [ "$(uname -m)" = x86_64 ] && command -v objdump >/dev/null; then
    objdump -d --no-show-raw-insn "$bin/bench-l1" |
        awk '/^[0-9a-f]+ </ { name = $2 } $2 ~ /^prefetch/ { print name }' >"$scratch/asking"
    for function in run_requests run_batches l1_prefetch_index l1_prefetch_hinted l1_prefetch_entry l1_set look_ahead; do
        grep -qE "^<$function[.>]" "$scratch/asking" || fail "$function asks for no memory ahead"
    done
fi

"$bin/bench-l1" --tiny --no-huge --bench get --engine libcache >"$scratch/table" || fail "bench-l1 --no-huge failed"
grep -q 'huge pages' "$scratch/table" && fail "--no-huge had huge pages"
refuses "$bin/bench-l1" --tiny --unknown
refuses "$bin/bench-l1" --tiny extra
refuses "$bin/bench-l1" --tiny --bench unknown
refuses "$bin/bench-l1" --tiny --engine unknown

# ---- bench-l2 -----------------------------------------------------------------------------------------------

"$bin/bench-l2" --tiny --json >"$scratch/l2" || fail "bench-l2 failed"
grep -v '"bench": "target"' "$scratch/l2" >"$scratch/l2-results"
grep '"bench": "target"' "$scratch/l2" >"$scratch/l2-targets"
lines_have "$scratch/l2-results" bench=string operation=string engine=string socket=string value_bytes=number \
    samples=number p50_us=number p99_us=number max_us=number mean_us=number fastest_us=number slowest_us=number
lines_have "$scratch/l2-targets" bench=string operation=string of=string socket=string value=number unit=string
for bench in $("$bin/bench-l2" --list); do
    grep -q "\"bench\": \"$bench\"" "$scratch/l2-results" || fail "bench $bench is missing"
done
for socket in unix tcp; do
    grep -q "\"socket\": \"$socket\"" "$scratch/l2-results" || fail "nothing was measured over $socket"
done
"$bin/bench-l2" --tiny --socket unix --pin apart --bench get_many >"$scratch/table" || fail "bench-l2 --socket unix failed"
grep -q '^Targets' "$scratch/table" || fail "the table of targets is missing"
grep -q 'tcp' "$scratch/table" && fail "--socket unix measured tcp"
ls -d /tmp/libcache-redis-* >/dev/null 2>&1 && for directory in /tmp/libcache-redis-*; do
    pid=${directory#/tmp/libcache-redis-}
    kill -0 "${pid%%-*}" 2>/dev/null || fail "a server was left in $directory"
done
refuses "$bin/bench-l2" --tiny --unknown
refuses "$bin/bench-l2" --tiny extra
refuses "$bin/bench-l2" --tiny --bench unknown
refuses "$bin/bench-l2" --tiny --socket unknown
refuses "$bin/bench-l2" --tiny --pin unknown

# ---- bench-load -----------------------------------------------------------------------------------------------

"$bin/bench-load" --tiny --json >"$scratch/load" 2>"$scratch/load.err" || { cat "$scratch/load.err"; fail "bench-load failed"; }
grep -q '"bench"' "$scratch/load" || fail "bench-load gave no JSON lines"
refuses "$bin/bench-load" --unknown

# ---- bench-replay -------------------------------------------------------------------------------------------

# A loop over hot keys, and colder ones between them.
awk 'BEGIN { for (i = 0; i < 20000; i++) print i % 3 ? "hot:" i % 97 : "cold:" i * 7919 % 3001 }' >"$scratch/plain.txt"
awk '{ print $1, 1 + NR % 5 * 1000 }' "$scratch/plain.txt" | gzip >"$scratch/sized.txt.gz"
"$bin/bench-replay" --json --capacity-ratio 0.1,0.5 --capacity-ratio 2 "$scratch/plain.txt" "$scratch/sized.txt.gz" \
    >"$scratch/replay" || fail "bench-replay failed"
lines_have "$scratch/replay" trace=string capacity_ratio=number requests=number hits=number misses=number \
    miss_ratio=number keys=number footprint_bytes=number budget_bytes=number stripes=number entries=number
[ "$(wc -l <"$scratch/replay")" = 6 ] || fail "not a line for each trace and ratio"
grep -v '"requests": 20000,.*"keys": 3098,' "$scratch/replay" && fail "requests or keys were miscounted"
grep '"capacity_ratio": 2,' "$scratch/replay" | grep -v '"misses": 3098,' &&
    fail "with room for everything, other than the first requests missed"

# Simulated policies, where the right answer is known: a loop larger than the cache misses always with LRU; with room for
# everything all miss what is new only; a key that is asked for again and again stays through a scan with those that
# resist scans.
awk 'BEGIN { for (i = 0; i < 1000; i++) print "loop:" i % 100 }' >"$scratch/loop.txt"
awk 'BEGIN { for (i = 0; i < 5000; i++) print i % 5 ? "scan:" i : "hot:" i % 20 }' >"$scratch/scan.txt"
"$bin/bench-replay" --json --policy all --capacity-ratio 0.5,2 "$scratch/loop.txt" >"$scratch/loop" || fail "--policy failed"
grep '"capacity_ratio": 0.5,' "$scratch/loop" | grep -q '"lru_miss_ratio": 1,' || fail "LRU hit in a loop larger than the cache"
for policy in lru sieve s3fifo wtinylfu; do
    grep '"capacity_ratio": 2,' "$scratch/loop" | grep -q "\"${policy}_miss_ratio\": 0.1[,}]" ||
        fail "$policy with room for everything missed more or less than what is new"
done
"$bin/bench-replay" --json --policy lru --policy sieve,s3fifo,wtinylfu --capacity-ratio 0.01 "$scratch/scan.txt" >"$scratch/scan" ||
    fail "--policy as a list failed"
for policy in sieve s3fifo wtinylfu; do
    grep -oE "\"${policy}_miss_ratio\": [0-9.]+" "$scratch/scan" | awk '{ exit !($2 < 0.82) }' || fail "$policy lost hot keys to a scan"
done
refuses "$bin/bench-replay" --policy mru "$scratch/plain.txt"

# The reference decides: one that nobody can beat, one that nobody can miss, and none.
for expected in 0.000001:1 0.999999:0; do
    printf 'trace,cache_size_over_footprint,algorithm,miss_ratio\nplain,0.5,S3FIFO,%s\n' "${expected%:*}" >"$scratch/csv"
    "$bin/bench-replay" --check --reference "$scratch/csv" --capacity-ratio 0.5 "$scratch/plain.txt" >/dev/null 2>&1
    [ $? = "${expected#*:}" ] || fail "--check against a miss ratio of ${expected%:*} should exit with ${expected#*:}"
done
refuses "$bin/bench-replay" --check --reference "$scratch/csv" --capacity-ratio 0.3 "$scratch/plain.txt"
refuses "$bin/bench-replay" --check "$scratch/plain.txt"
refuses "$bin/bench-replay" --unknown "$scratch/plain.txt"
refuses "$bin/bench-replay" --capacity-ratio 0 "$scratch/plain.txt"
refuses "$bin/bench-replay" "$scratch/missing.txt"
refuses "$bin/bench-replay"
# Of a live cache: what was there before is there, a store after a miss is not done twice, deletions are done, what is never stored
# misses, what Redis had misses; and with half of the keys and four times the reads it had, a miss counts for half of itself.
live() { # share, reads
    printf '%s\n' '# libcache trace 1' "# rate $1" '# memory_bytes 8388608' '# namespace 0 some name' 'aa 100 10 hit 0 0' 'bb - 10 miss 1 0' \
        'bb 50 10 set 2 0' 'bb 50 10 hit 3 0' 'aa - 10 delete 4 0' 'aa - 10 miss 5 0' 'aa 100 10 hit 6 0' 'cc - 10 miss 7 0' \
        'cc - 10 miss 8 0' 'dd 70 10 set 9 0' 'dd 70 10 hit 9 0' 'ee 30 10 hit-l2 9 0' 'ee 30 10 hit 9 0' \
        "# end reads $2 records 13 dropped 0 seconds 1.0" | gzip
}
live 1 10 >"$scratch/live.txt.gz"
"$bin/bench-replay" --json --policy all "$scratch/live.txt.gz" >"$scratch/live" || fail "a trace of a live cache is not replayed"
[ "$(wc -l <"$scratch/live")" = 5 ] || fail "not five sizes of a live cache"
for word in '"requests": 10,' '"hits": 5,' '"misses": 5,' '"miss_ratio": 0.5,' '"live_miss_ratio": 0.5,' '"lru_miss_ratio": 0.5,' \
    '"sieve_miss_ratio": 0.5,' '"s3fifo_miss_ratio": 0.5,' '"wtinylfu_miss_ratio": 0.5[,}]'; do
    [ "$(grep -c "$word" "$scratch/live")" = 5 ] || fail "a trace of a live cache is replayed without $word"
done
"$bin/bench-replay" --json --cold "$scratch/live.txt.gz" | grep -vq '"miss_ratio": 0.6,' && fail "--cold does not begin with an empty cache"
live 0.5 40 >"$scratch/live.txt.gz"
"$bin/bench-replay" --json --memory 4MiB "$scratch/live.txt.gz" >"$scratch/live"
grep -q '"budget_bytes": 2097152,.*"miss_ratio": 0.25,\|"miss_ratio": 0.25,.*"budget_bytes": 2097152,' "$scratch/live" ||
    fail "a sample is not replayed by its share"

printf 'a 10\nb\n' >"$scratch/uneven.txt"
refuses "$bin/bench-replay" "$scratch/uneven.txt"

# ---- The report ---------------------------------------------------------------------------------------------------------------

if command -v python3 >/dev/null; then
    mkdir "$scratch/results"
    for name in l1 l2 load replay; do cp "$scratch/$name" "$scratch/results/$name.jsonl"; done
    cp "$scratch/loop" "$scratch/results/replay.jsonl"
    python3 bench/report.py "$scratch/results" >"$scratch/summary" || fail "bench/report.py failed"
    grep -qE '^gets, .* rocksdb-lru .* [0-9.]+ x$|^gets, .* redis .* [0-9.]+ x$' "$scratch/summary" || fail "the summary lacks ratios"
    grep -q '<polyline' "$scratch/results/report.html" || fail "the report has no plots"
    grep -qE '(src|href)=|@import|url\(' "$scratch/results/report.html" && fail "the report needs other files"
    sed -i 's/"keys"/"kex"/' "$scratch/results/l1.jsonl"
    refuses python3 bench/report.py "$scratch/results"
    mkdir "$scratch/nothing"
    refuses python3 bench/report.py "$scratch/nothing"
fi

[ $failed = 0 ] && echo "bench_smoke: ok"
exit $failed
