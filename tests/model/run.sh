#!/usr/bin/env bash
# Has spin search protocol.pml:
#   - each instance of the protocol, to the end, without finding an error, and no step may be one that none of them takes;
#   - each mutation (a rule taken out), in which it must find an error: a model that finds nothing there checks nothing.
#
#   run.sh                   one line each; fails if one of them is not as it must be
#   run.sh --trail MUTATION  the shortest way in which that mutation goes wrong, step by step
#
# Needs spin and a C compiler (CC, default gcc), 1.5 GB of memory and a minute or two.
set -u
cd "$(dirname "$0")" || exit 1

cc=${CC:-gcc}
model=$PWD/protocol.pml
memory_mb=1500
limit_s=600
depth=100000

# name, how much of everything (protocol.pml says what the default is)
instances="
two-writers     -DWRITERS=2 -DTRIMS=1
redis-lost      -DWRITERS=2 -DLOSSES=1 -DTRIMS=1 -DHEARS=0
lost-twice      -DLOSSES=2 -DTRIMS=1
two-loaders     -DLOADERS=2 -DLOSSES=1 -DTRIMS=1
two-hosts       -DHOSTS=2 -DHEARS=0
older-only      -DWRITERS=2 -DKEYSTAMP -DBEGUN
"
# name, the least of everything in which it is caught
mutations="
NOKPOS
NOGEN
NOMARK
COPYFRESH
NOEPOCH         -DLOSSES=1
EPOCHBACK       -DWRITERS=2 -DLOSSES=1 -DHEARS=0
LATESTAMP
KEYSTAMP
NODROP          -DTRIMS=1
"
named() { awk -v name="$1" '$1 == name { $1 = ""; print; exit }'; } # the rest of that line

for tool in spin "$cc"; do
    command -v "$tool" >/dev/null || { echo "model: $tool is not installed"; exit 1; }
done
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# Leaves what the search said in `out`. Breadth first finds the shortest way to an error.
search() { # how: depth|breadth, -D macros of the model
    local how=$1 flags="-O1 -w -DSAFETY -DMEMLIM=$memory_mb"
    shift
    [ "$how" = breadth ] && flags+=" -DBFS"
    rm -f pan* ./*.trail out
    { spin "$@" -a "$model" && "$cc" $flags -o pan pan.c && timeout "$limit_s" ./pan -m"$depth"; } >out 2>&1
}
states() { awk '/states, stored/ { printf "%d", $1; exit }' out; }
complete() {
    grep -q '^Full statespace search' out && grep -q 'errors: 0$' out &&
        ! grep -qiE 'not completed|too small|truncated|out of memory|reached.*limit|aborting|warning' out
}
caught() { grep -q 'assertion violated' out && [ -n "$(find . -name '*.trail')" ]; }
never_taken() { sed -n 's/^\t.*\.pml:\([0-9]*\), state [0-9]*, \(.*\)$/\1 \2/p' out | grep -v -- '"-end-"' | sort -u; }

if [ "${1:-}" = --trail ]; then
    mutation=${2:-}
    grep -qx "$mutation\( .*\)\?" <<<"$mutations" && [ -n "$mutation" ] ||
        { echo "model: the mutations are" $(awk '{ print $1 }' <<<"$mutations"); exit 1; }
    flags="-D$mutation $(named "$mutation" <<<"$mutations")"
    search breadth $flags
    caught || { cat out; echo "model: $mutation is not caught"; exit 1; }
    ln -s "$(find . -name '*.trail')" model.trail
    spin -k model.trail -B -T -t $flags "$model" |
        awk '/text of failed/ { sub(/^.*assertion: /, ""); print "    breaks " $0; exit } /^[a-z]+( [0-9])?: / && !/^spin:/'
    exit
fi
[ $# -eq 0 ] || { echo "usage: run.sh [--trail MUTATION]"; exit 1; }

failed=0
report() { # name, verdict
    printf '%-14s %-24s %9s states %7.1f s\n' "$1" "$2" "$(states)" \
        "$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }')"
}
first=1
while read -r name flags; do
    [ -n "$name" ] || continue
    began=$EPOCHREALTIME
    search depth $flags
    if complete; then
        report "$name" "complete, no error"
    else
        report "$name" "NOT VERIFIED"
        sed 's/^/    /' out
        failed=1
    fi
    never_taken >now
    if [ "$first" ]; then mv now untaken; else comm -12 untaken now >both && mv both untaken; fi
    first=
done <<<"$instances"
if [ -s untaken ]; then
    echo "model: no instance takes these steps (line, step):"
    sed 's/^/    /' untaken
    failed=1
fi

while read -r name flags; do
    [ -n "$name" ] || continue
    began=$EPOCHREALTIME
    search breadth "-D$name" $flags
    if caught; then
        report "$name" "caught"
    else
        report "$name" "NOT CAUGHT"
        sed 's/^/    /' out
        failed=1
    fi
done <<<"$mutations"
exit $failed
