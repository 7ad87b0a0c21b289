#!/usr/bin/env bash
# Tests of the Laravel package against real illuminate packages and a real Redis; then the benchmark and the example, tried
# quickly. Says what it skips, and why. SPDX-License-Identifier: MIT
#
#   bindings/php/laravel/run-tests.sh             everything
#   bindings/php/laravel/run-tests.sh STEP...     phpunit bench example
#
# LIBCACHE_EXTENSION       the libcache.so to test; default: bindings/php/build.sh builds it
# LIBCACHE_LARAVEL_VENDOR  the vendor folder of another Laravel than Debian's, 8.83 to 13, to run phpunit against
set -u
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
so=${LIBCACHE_EXTENSION:-$(../build.sh | tail -1)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=

[ -f "$so" ] || { echo "there is no libcache.so"; exit 1; }

has() { # what it is, Debian's package, how to see that it is there
    local what=$1 package=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    echo "    skipped: $what is not there (package $package)"
    return 1
}
extension() { php -r 'exit(extension_loaded($argv[1]) ? 0 : 1);' "$1"; }
framework() { [ -n "${LIBCACHE_LARAVEL_VENDOR:-}" ] || php -r 'exit(stream_resolve_include_path("Illuminate/autoload.php") ? 0 : 1);'; }
command_or_sbin() { command -v "$1" || ls "/usr/sbin/$1"* ; }

step_phpunit() {
    timeout 600 php -d extension="$so" "$(command -v phpunit)" -c phpunit.xml --colors=never >"$log" 2>&1 </dev/null
    local status=$?
    grep -E '^(OK|Tests:|FAILURES|ERRORS)' "$log" | sed "s/^/    /"
    [ $status -eq 0 ] && grep -qE '^OK' "$log" || { tail -150 "$log"; return 1; }
    [ -n "${LIBCACHE_LARAVEL_VENDOR:-}" ] || echo "    skipped: newer versions of Laravel (LIBCACHE_LARAVEL_VENDOR names no vendor folder)"
}

step_bench() {
    has APCu php-apcu extension apcu && has phpredis php-redis extension redis || return 0
    timeout 300 php "$root/bench/php/laravel.php" --quick --extension="$so" >"$log" 2>&1 && grep -q 'wanted' "$log" ||
        { cat "$log"; return 1; }
    grep 'wanted' "$log" | sed 's/^/    /'
}

step_example() {
    has nginx nginx-light command_or_sbin nginx && has php-fpm php-fpm command_or_sbin php-fpm &&
        has phpredis php-redis extension redis || return 0
    LIBCACHE_EXTENSION=$so timeout 300 "$root/examples/laravel-dashboard/run.sh" --quick >"$log" 2>&1 && grep -q '^libcache ' "$log" ||
        { cat "$log"; return 1; }
    grep -E '^(no cache|Laravel|libcache|Server-Timing)' "$log" | sed 's/^/    /'
}

has Laravel php-laravel-framework framework && has phpunit phpunit command -v phpunit && has SQLite php-sqlite3 extension pdo_sqlite &&
    has redis-server redis-server command -v redis-server || exit 0

[ $# -gt 0 ] || set -- phpunit bench example
for step; do
    begun=$SECONDS
    echo "--- laravel: $step"
    if "step_$step"; then
        echo "    $((SECONDS - begun)) s"
    else
        echo "    FAILED: laravel: $step"
        failed="$failed $step"
    fi
done
[ -z "$failed" ] || { echo "laravel: failed:$failed"; exit 1; }
