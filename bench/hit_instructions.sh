#!/usr/bin/env bash
# Counts the instructions of a hit in L1 with callgrind: of this tree, and of another one that is given, for comparison.
#     bench/hit_instructions.sh [OTHER TREE, built with make]
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
libs="$(pkg-config --libs inih liblz4 hiredis libcares) -lpthread -lm"

count() { # program, arguments
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 | awk '/Collected/ { print $4 }'
}

for tree in . ${1:+"$1"}; do
    ${CC:-gcc} -O2 -I"$tree/include" -o "$scratch/hits" bench/hit_instructions.c "$tree/build/lib/libcache.a" $libs
    for what in "0 100" "1 100" "0 500"; do
        few=$(count "$scratch/hits" 100000 $what)
        many=$(count "$scratch/hits" 300000 $what)
        awk -v tree="$tree" -v what="$what" -v few="$few" -v many="$many" 'BEGIN {
            split(what, w); printf "%s: ttl %s, %s bytes: %.1f instructions a hit\n", tree, w[1] ? "yes" : "no", w[2], (many - few) / 200000 }'
    done
done
