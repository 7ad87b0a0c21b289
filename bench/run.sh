#!/usr/bin/env bash
# Runs all benchmarks, one after the other, and makes a report of them.           SPDX-License-Identifier: MIT
#
#   bench/run.sh [--full] [--only l1|l2|load|replay|php|python]... [TRACE...]
#
# Lines of JSON go to build/bench/NAME.jsonl (BUILD is where build/ is), the report to build/bench/report.html, a summary to the
# terminal. Without --full each program does its quick run: three to four minutes in all. What another --only measured
# before stays in the report. Traces: as bench-replay reads them; without one, requests are made up (and said to be).
set -u
cd "$(dirname "$0")/.." || exit 1

bin=${BUILD:-build}/bin
out=${BUILD:-build}/bench
flags=--quick
only=
traces=()
while [ $# -gt 0 ]; do
    case $1 in
    --full) flags= ;;
    --only) only="$only ${2:?--only what?} "; shift ;;
    -*) echo "usage: bench/run.sh [--full] [--only NAME]... [TRACE...]" >&2; exit 2 ;;
    *) traces+=("$1") ;;
    esac
    shift
done
mkdir -p "$out" || exit 1

failed=0
wants() { case ${only:-" $1 "} in *" $1 "*) return 0 ;; *) return 1 ;; esac }
run() { # name, command...
    local name=$1 start=$SECONDS
    shift
    printf '==> %s\n' "$*"
    if "$@" >"$out/$name.jsonl.new"; then
        mv "$out/$name.jsonl.new" "$out/$name.jsonl"
        echo "    $((SECONDS - start)) s"
    else
        rm -f "$out/$name.jsonl.new"
        echo "    FAILED: $name"
        failed=1
    fi
}

# Popular keys that change a little over time, and now and then a scan of keys that nobody asks for again.
make_trace() {
    awk 'BEGIN { srand(7); n = 30000; for (i = 0; i < 400000; i++) {
        if (i % 1000 >= 900) print "scan:" i
        else print "page:" int(exp(rand() * log(n)) + i / 40) } }'
}

# Those of a live cache have sizes of their own: values as they were, and memory about what that cache had.
replay() {
    local trace sizes
    for trace; do
        sizes='--value-bytes 4096 --capacity-ratio 0.01,0.02,0.04,0.08,0.12,0.16,0.24,0.32,0.48,0.64'
        [ "$(gzip -cdf "$trace" | head -c 17)" = '# libcache trace ' ] && sizes=
        "$bin/bench-replay" --json --policy all $sizes "$trace" || return 1
    done
}

wants l1 && run l1 "$bin/bench-l1" $flags --json
wants l2 && run l2 "$bin/bench-l2" $flags --json
wants load && run load "$bin/bench-load" $flags --json
if wants replay; then
    if [ ${#traces[@]} -eq 0 ]; then
        make_trace >"$out/made-up.txt"
        traces=("$out/made-up.txt")
    fi
    run replay replay "${traces[@]}"
fi
for language in php python; do
    if wants $language && [ -x bench/$language/run.sh ]; then
        run $language bench/$language/run.sh $flags --json
    fi
done

if command -v python3 >/dev/null; then
    python3 bench/report.py "$out" || failed=1
else
    echo "There is no python3 to make a report: the figures are in $out/*.jsonl"
fi
exit $failed
