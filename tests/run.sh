#!/usr/bin/env bash
# Runs the tests, one step after the other, some at the same time; after a step that fails there are no more.
#
#   tests/run.sh check         what make check runs
#   tests/run.sh test          what make test and CI run
#   tests/run.sh variant V     builds variant V and runs its test programs
#   tests/run.sh valgrind      quick test programs under valgrind
#   tests/run.sh coverage      test programs of the coverage variant, and what they reached
#
# Test programs see LIBCACHE_TEST_SCALE, the percentage of their iterations that they should do. Set it, or
# CK_DEFAULT_TIMEOUT (seconds a test may take), to have your value instead of this script's.
set -u
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build}
make=${MAKE:-make}
jobs=-j${JOBS:-2}
case ${MAKEFLAGS:-} in *jobserver*) jobs= ;; esac

run_make() { $make $jobs --no-print-directory "$@"; }

# ---- Steps ----------------------------------------------------------------------------------------------

passed=0
failed=0
begun=$SECONDS

summary() {
    echo
    echo "Took $((SECONDS - begun)) s."
    echo "$passed passed, $failed failed"
}

ended() { # name, status, seconds
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "    ok, $3 s"
    else
        failed=$((failed + 1))
        echo "    FAILED: $1, $3 s"
    fi
}

stop_if_failed() {
    [ $failed -eq 0 ] && return
    summary
    exit 1
}

step() { # name, command...
    local name=$1 start=$SECONDS
    shift
    printf '\n==> %s\n' "$name"
    "$@"
    ended "$name" $? $((SECONDS - start))
    stop_if_failed
}

# Steps that mostly wait: begin starts one, as soon as fewer than JOBS + 1 of them run, and tell_begun waits for all and shows what each
# has printed, in one piece, those that failed last. They must not build: two makes would be in each other's way.
waiting=()
begin() { # name, command...
    local log=$build/logs/step-${#waiting[@]}
    mkdir -p "$build/logs"
    echo 1 0 >"$log.end"
    waiting+=("$1")
    shift
    while [ "$(jobs -pr | wc -l)" -gt "${JOBS:-2}" ]; do wait -n; done
    {
        start=$SECONDS
        "$@"
        echo $? $((SECONDS - start)) >"$log.end"
    } >"$log" 2>&1 &
}

tell_begun() {
    local i wanted status seconds
    wait
    for wanted in ok failed; do
        for i in "${!waiting[@]}"; do
            read -r status seconds <"$build/logs/step-$i.end"
            [ "$wanted" = "$([ "$status" -eq 0 ] && echo ok || echo failed)" ] || continue
            printf '\n==> %s\n' "${waiting[i]}"
            cat "$build/logs/step-$i"
            ended "${waiting[i]}" "$status" "$seconds"
        done
    done
    waiting=()
    stop_if_failed
}

# ---- Test programs ---------------------------------------------------------------------------------------

# Slow variants do fewer iterations and may take longer.
scale_of() {
    case $1 in
    asan | ubsan | tsan) echo 20 ;;
    valgrind) echo 2 ;;
    *) echo 100 ;;
    esac
}
timeout_of() {
    case $1 in
    asan | ubsan) echo 120 ;;
    tsan | valgrind) echo 300 ;;
    *) echo 60 ;;
    esac
}

# ThreadSanitizer wants its fixed addresses; kernels that spread mappings widely may not leave them free.
launcher_of() {
    [ "$1" = tsan ] && setarch -R true 2>/dev/null && echo "setarch -R"
}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

run_one() { # mode, launcher words in one, program
    local mode=$1 launcher=$2 program=$3 name=${3##*/} log start=$SECONDS status
    log=$build/logs/$mode/$name.log
    timeout --kill-after=10 900 $launcher "$program" >"$log" 2>&1 </dev/null
    status=$?
    if [ $status -eq 0 ]; then
        printf '    %-32s %3d s  %s\n' "$name" $((SECONDS - start)) "$(grep -m 1 '^[0-9]*%: Checks' "$log")"
        echo "$name" >>"$build/logs/$mode/passed"
    else
        printf '    %-32s %3d s  FAILED, status %d\n' "$name" $((SECONDS - start)) $status
        echo "$name" >>"$build/logs/$mode/failed"
    fi
}

# Runs programs as the mode asks (a variant's name, or valgrind), some at once, all of them even if one fails. Many wait more than
# they work, so without a sanitizer there is one more than JOBS.
run_programs() { # mode, launcher words, programs...
    local mode=$1 launcher=$2 program at_once=${JOBS:-2}
    shift 2
    case $mode in release | hooks | portable) at_once=$((at_once + 1)) ;; esac
    if [ $# -eq 0 ]; then
        echo "    there are no test programs"
        return 1
    fi
    export LIBCACHE_TEST_SCALE=${user_scale:-$(scale_of "$mode")}
    export CK_DEFAULT_TIMEOUT=${user_timeout:-$(timeout_of "$mode")}
    mkdir -p "$build/logs/$mode"
    : >"$build/logs/$mode/passed"
    : >"$build/logs/$mode/failed"
    for program; do
        while [ "$(jobs -pr | wc -l)" -ge "$at_once" ]; do wait -n; done
        run_one "$mode" "$launcher" "$program" &
    done
    wait
    while read -r program; do # last, where somebody who sees only the end of it all sees them
        printf '\n    ---- %s, end of %s\n' "$program" "$build/logs/$mode/$program.log"
        tail -100 "$build/logs/$mode/$program.log"
    done <"$build/logs/$mode/failed"
    [ "$(wc -l <"$build/logs/$mode/passed")" -eq $# ]
}
user_scale=${LIBCACHE_TEST_SCALE:-}
user_timeout=${CK_DEFAULT_TIMEOUT:-}

programs_of() { $make -s --no-print-directory VARIANT="$1" print-tests; }

test_variant() { run_programs "$1" "$(launcher_of "$1")" $(programs_of "$1"); }

build_and_test() { run_make VARIANT="$1" programs && test_variant "$1"; }

run_corpora() { # variant
    local program name bad=0
    for program in $($make -s --no-print-directory VARIANT="$1" print-fuzzers); do
        name=${program##*/}
        printf '    '
        timeout 300 "$program" "tests/fuzz/corpus/$name" || { echo "    $name FAILED"; bad=1; }
    done
    return $bad
}

# All but those whose name says that they are long, or that they wait for a real Redis and real time.
test_under_valgrind() {
    if ! command -v valgrind >/dev/null; then
        echo "    valgrind is not installed"
        return "${1:-1}"
    fi
    run_make VARIANT=release programs || return 1
    run_programs valgrind \
        "valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=no" \
        $(programs_of release | grep -vE 'stress|storm|model|race|thread|fork|redis|coherence|faults|processes|early')
}

measure_coverage() {
    find "$build/coverage" -name '*.gcda' -delete 2>/dev/null
    build_and_test coverage || return 1
    if command -v lcov >/dev/null && command -v genhtml >/dev/null; then
        lcov --quiet --capture --directory "$build/coverage/obj/lib" --output-file "$build/coverage/all.info" &&
            lcov --quiet --extract "$build/coverage/all.info" "$PWD/lib/*" --output-file "$build/coverage/lib.info" &&
            genhtml --quiet --output-directory "$build/coverage/html" "$build/coverage/lib.info" &&
            lcov --summary "$build/coverage/lib.info" && echo "    $build/coverage/html/index.html"
    elif command -v gcov >/dev/null; then
        find "$build/coverage/obj/lib" -name '*.gcda' -exec gcov --no-output {} + | grep -A 1 "^File 'lib/"
        echo "    For pages, line by line, install lcov."
    else
        echo "    Neither lcov nor gcov is there: install lcov."
        return 1
    fi
}

# Hosts, chaos, and a checker of every read; seconds of it. The report of a violation is long, and all of it is wanted.
run_coherence() { # variant, seconds, more options
    local variant=$1 seconds=$2 program log=$build/logs/$1/coherence.log
    shift 2
    program=$($make -s --no-print-directory VARIANT="$variant" print-coherence)
    mkdir -p "${log%/*}"
    if timeout --kill-after=10 $((seconds + 120)) $(launcher_of "$variant") "$program" --seconds "$seconds" "$@" \
        >"$log" 2>&1 </dev/null; then
        grep -a -A 12 '^seed ' "$log" | sed 's/^/    /'
    else
        tail -400 "$log"
        return 1
    fi
}

# The command-line tool, against segments and servers of its own: tool.sh tries the commands, tool_doctor.sh plants faults, tool_trace.sh
# traces.
test_tool() { # variant, scripts...
    local variant=$1 script programs
    shift
    run_make VARIANT="$variant" $([ "$variant" = release ] && echo WERROR=1) tool-programs || return 1
    programs=$($make -s --no-print-directory VARIANT="$variant" print-tool)
    for script; do
        tests/$script $programs || return 1
    done
}

# Traces of live segments, and their replay.
test_traces() { test_tool release tool_trace.sh; } # wants bench-replay

# Each guard is broken in a build with hooks, and the checker or a test must notice.
prove_guards() { run_make VARIANT=hooks programs && tests/coherence/prove.sh; }

# No figures are judged here: the programs must run, and every engine must give the right values.
bench_smoke() { run_make bench-programs && tests/bench_smoke.sh; }

# ---- What is run -------------------------------------------------------------------------------------------

# What takes longest begins first.
check() {
    step "build (warnings are errors)" run_make VARIANT=release WERROR=1 static shared tool-programs demo-program programs "$build/bin/bench-replay"
    step "build with hooks" run_make WERROR=1 VARIANT=hooks hook-programs
    step "tests" test_variant release
    begin "installation and header" tests/install.sh
    begin "tests with hooks" run_programs hooks "" $($make -s --no-print-directory VARIANT=hooks print-hook-tests)
    begin "command-line tool" test_tool release tool.sh
    begin "coherence of several hosts under chaos" run_coherence release 10
    begin "traces of live caches" test_traces
    begin "symbols" tests/symbols.sh
    tell_begun
}

case ${1:-} in
check)
    check
    ;;
test)
    step "dependencies" tools/deps.sh test
    check
    step "model of the protocol" tests/model/run.sh
    step "broken guards are noticed" prove_guards
    step "coherence of several hosts under chaos, for longer" run_coherence release 60 --keep
    step "tests, portable build" build_and_test portable
    step "doctor finds what is planted" test_tool release tool_doctor.sh
    step "alert rules and dashboard, with Prometheus" test_tool release monitoring.sh
    step "tests, address sanitizer" build_and_test asan
    step "command-line tool, address sanitizer" test_tool asan tool.sh tool_doctor.sh
    step "fuzz corpora, address sanitizer" run_corpora asan
    step "tests, undefined behaviour sanitizer" build_and_test ubsan
    step "tests, thread sanitizer" build_and_test tsan
    step "example: a service in C, built as a user does" tests/c_service.sh
    step "benchmark programs run and tell the truth" bench_smoke
    step "library with clang (warnings are errors)" run_make VARIANT=clang WERROR=1 static shared
    step "python module" bindings/python/run-tests.sh
    step "lint" run_make lint
    step "links of the documentation" /usr/bin/python3 tests/docs.py
    step "dependencies of the PHP tests" tools/deps.sh php
    step "PHP" bindings/php/run-tests.sh
    step "PHP and Python read each other's entries" tests/interop/run.sh
    step "quick tests under valgrind" test_under_valgrind 0
    ;;
php)
    step "PHP" bindings/php/run-tests.sh
    ;;
variant)
    step "tests, ${2:?which variant?}" build_and_test "$2"
    step "fuzz corpora, $2" run_corpora "$2"
    ;;
valgrind)
    step "quick tests under valgrind" test_under_valgrind
    ;;
coverage)
    step "coverage" measure_coverage
    ;;
*)
    echo "usage: tests/run.sh check|test|php|variant V|valgrind|coverage" >&2
    exit 2
    ;;
esac
summary
