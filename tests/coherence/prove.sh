#!/usr/bin/env bash
# Breaks one rule of the library after the other (lib/l1/hook.h, tests/support/guards.c) and shows that it is noticed: by the
# checker, with chaos that puts it to the test, or, where only a rare interleaving or a clock does, by a deterministic test.
# Fails if one is not caught. Wants the hooks variant: make VARIANT=hooks programs           SPDX-License-Identifier: MIT
#
#   tests/coherence/prove.sh            all of them
#   tests/coherence/prove.sh NAME...    these guards and sabotages
set -u
cd "$(dirname "$0")/../.." || exit 1

hooks=${BUILD:-build}/hooks
seeds=${SEEDS:-"1 2 3 4"}
seconds=${SECONDS_EACH:-20}

# guard, then: chaos for the checker; or a test program and the test that must fail
list='
key-slot       chaos none
generation     chaos none --no-redis
marks          chaos none
judge          chaos none
own-host       chaos none
verify         chaos trim-log,delete-log
epoch          chaos delete-meta,flush-all
load-epoch     chaos delete-meta,flush-all
drop           chaos trim-log,delete-log --pace 1 --staleness 60 --slack 40
gap            chaos trim-log,delete-log --pace 1 --staleness 60 --slack 40
hello          chaos older,overtake
staleness      chaos sleep-host
token          test_coherence        records_of_another_history_on_a_living_connection_are_noticed_by_their_tokens
fill-epoch     test_coherence        redis_refuses_a_load_of_another_history
space-horizon  test_coherence_log    a_namespace_that_was_invalidated_before_it_was_opened_here_is_asked_about
newest-stamp   test_coherence_away   a_load_that_began_earlier_does_not_replace_what_a_later_one_has_stored
owed           test_coherence_away   what_redis_could_not_be_told_it_is_told_later
order          test_coherence_hooks  of_two_sets_the_later_one_stays_in_whatever_order_they_arrive
copy-stamp     test_coherence_hooks  a_copy_that_a_change_overtakes_is_not_served_after_it
copy-generation test_coherence_hooks a_copy_that_a_change_overtakes_is_not_served_after_it
commit         chaos none
lead-stamp     chaos none
bypass-stamp   chaos none
refresh-stamp  chaos none
batch-stamp    chaos none
late-marks     test_coherence_hooks  G3_what_is_within_its_grace_is_given_out_only_if_nothing_has_overtaken_it
soft           chaos none
grace          chaos none
flight         chaos none
flight-end     chaos none
flight-lease   chaos none --keys 24
wait           chaos none
redis-lease    chaos none
needless       test_load_hooks       who_finds_what_is_invalidated_on_its_way_from_redis_asks_again_and_has_the_lease
'
# Few writes and a short max_staleness: what is old must live long enough to be seen. Why the rest are tests: an older copy is told by
# the greeting before any record is; a key that is set has one writer in the checker; errors are not covered there, so nobody expects what is owed; namespaces are
# opened at the begin; the rest are races of microseconds, or (newest-stamp) cost a hit and never a stale one.
# flight-lease has few keys, or the flight that nobody ends would soon give its slot to another.

# What the checker must notice when a worker, not the library, does it.
sabotages="no-stamp late-stamp no-publish forget early-row late-recheck"

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

by_checker() { # option, guard, chaos
    local seed
    for seed in $seeds; do
        "$hooks/coherence" "$1" "$2" --chaos $3 --seed "$seed" --seconds "$seconds" >"$log" 2>&1
        case $? in
        0) continue ;;
        1)
            how=$(grep -m 1 -o 'VIOLATION of [A-Za-z0-9]*' "$log")
            [ -n "$how" ] && how="$how, seed $seed" && return 0
            return 1
            ;;
        *) return 1 ;;
        esac
    done
    return 1
}

by_test() { # guard, program, test
    LIBCACHE_TEST_BREAK=$1 CK_DEFAULT_TIMEOUT=20 "$hooks/tests/$2" >"$log" 2>&1
    how="$2"
    grep -q ":[FE]:[a-z_]*:$3:" "$log"
}

say() { # status, name
    if [ "$1" -eq 0 ]; then
        printf '    %-15s caught, %2d s   %s\n' "$2" $((SECONDS - start)) "$how"
    else
        printf '    %-15s NOT CAUGHT, %d s\n' "$2" $((SECONDS - start))
        tail -20 "$log"
        bad=1
    fi
}

known=$("$hooks/coherence" --break list | sort)
listed=$(printf '%s\n' "$list" | awk 'NF { print $1 }' | sort)
if [ "$known" != "$listed" ]; then
    echo "prove.sh does not list all guards, or one that there is not:"
    diff <(echo "$known") <(echo "$listed")
    exit 1
fi

bad=0
begun=$SECONDS
for options in none "trim-log,delete-log --pace 1 --staleness 60 --slack 40"; do # nothing is noticed where nothing is broken
    [ $# -eq 0 ] || break
    "$hooks/coherence" --chaos $options --seed 1 --seconds 4 >"$log" 2>&1 || { cat "$log"; bad=1; }
done
while read -r guard kind what; do
    [ -n "$guard" ] || continue
    [ $# -eq 0 ] || [[ " $* " == *" $guard "* ]] || continue
    start=$SECONDS
    how=
    if [ "$kind" = chaos ]; then
        by_checker --break "$guard" "$what"
    else
        by_test "$guard" "$kind" "$what"
    fi
    say $? "$guard"
done <<<"$list"
for what in $sabotages; do
    [ $# -eq 0 ] || [[ " $* " == *" $what "* ]] || continue
    start=$SECONDS
    by_checker --sabotage "$what" none
    say $? "$what"
done
echo "    took $((SECONDS - begun)) s"
exit $bad
