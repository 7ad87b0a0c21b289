#!/usr/bin/env bash
# Builds the extension and runs all of its tests. Says what it skips, and why. SPDX-License-Identifier: MIT
#
#   bindings/php/run-tests.sh              everything that make test runs
#   bindings/php/run-tests.sh phpt [FILE]  only the tests of the extension (or some of them)
#   bindings/php/run-tests.sh STEP...      phpt opcache valgrind asan installed zts fpm phpunit laravel
#
# LIBCACHE_FPM_SECONDS (default 8): how long workers of php-fpm are killed at random; the release wants 60.
set -u
cd "$(dirname "$0")"
here=$PWD
root=$(cd ../.. && pwd)
build=${BUILD:-$root/build}
case $build in /*) ;; *) build=$root/$build ;; esac
logs=$build/logs/php
failed=

need() { # command, Debian's package
    command -v "$1" >/dev/null && return
    echo "    skipped: $1 is not there (package $2)"
    return 1
}

step() { # name, command...
    local name=$1 start=$SECONDS
    shift
    echo "--- php: $name"
    if "$@"; then
        echo "    $((SECONDS - start)) s"
    else
        echo "    FAILED: php: $name"
        failed="$failed $name"
    fi
}

built() { # variant
    so=$("$here/build.sh" "$1" 2>"$logs/build-$1.log" | tail -1)
    if [ ! -f "$so" ] || grep -q warning: "$logs/build-$1.log"; then
        tail -40 "$logs/build-$1.log"
        return 1
    fi
}

# The settings come from the command line alone: other extensions of this machine do not matter.
phpt() { # log, php's options, run-tests' options...
    local log=$logs/$1 options=$2
    shift 2
    LIBCACHE_SO=$so TEST_PHP_EXECUTABLE=$(command -v php) TEST_PHP_ARGS= NO_INTERACTION=1 REPORT_EXIT_STATUS=1 SKIP_ONLINE_TESTS=1 \
        php -n "$(php-config --prefix)/lib/php/$(basename "$(php-config --extension-dir)")/build/run-tests.php" -n $options \
        -d extension="$so" --set-timeout 120 -q -g FAIL,XFAIL,BORK,WARN,LEAK,XLEAK,SKIP --show-diff "$@" >"$log" 2>&1
    local status=$?
    sed -n '/^SKIP/p; /^Tests passed/p; /^Tests failed/p; /^Tests skipped/p' "$log" | sed 's/^/    /'
    # PHP's runner tries a test that fails once more if it mentions hrtime() or usleep(): one that needs it has failed here.
    [ $status -eq 0 ] && grep -q '^Tests passed' "$log" && ! grep -q 'passed on retry' "$log" || { tail -150 "$log"; return 1; }
}

modules() { for m in "$@"; do [ -f "$(php-config --extension-dir)/$m.so" ] && printf -- '-d extension=%s ' "$m"; done; }

step_phpt() { built release && phpt phpt.log "$(modules igbinary posix pcntl)" "${files[@]}"; }
step_opcache() { built release && phpt opcache.log "-d zend_extension=opcache -d opcache.enable_cli=1 $(modules igbinary posix pcntl)" tests; }

# Of those that take seconds without it. A leak of request memory is one of PHP's own checks; valgrind looks at the rest.
step_valgrind() {
    need valgrind valgrind || return 0
    built release && USE_ZEND_ALLOC=0 phpt valgrind.log "$(modules igbinary posix pcntl)" -m \
        tests/values_keep_their_types.phpt tests/loads.phpt tests/objects.phpt tests/msgpack.phpt tests/hostile_bytes.phpt tests/locks.phpt \
        tests/references.phpt
}

# The interpreter is not built with it, so its library is loaded first, and what PHP itself leaves at its end is not counted.
step_asan() {
    built asan || return 1
    local runtime
    runtime=$(gcc -print-file-name=libasan.so)
    [ -f "$runtime" ] || { echo "    skipped: there is no libasan"; return 0; }
    gcc -shared -fPIC -o "$build/php/asan/dlopen.so" tests/asan_dlopen.c || return 1
    LD_PRELOAD="$build/php/asan/dlopen.so $runtime" ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 USE_ZEND_ALLOC=0 phpt asan.log "$(modules posix pcntl)" tests/values_keep_their_types.phpt \
        tests/loads.phpt tests/objects.phpt tests/msgpack.phpt tests/hostile_bytes.phpt tests/writing.phpt tests/locks.phpt tests/references.phpt
}

# The packed sources against an installed core.
step_installed() {
    local dir=$build/php/installed package
    rm -rf "$dir" && mkdir -p "$dir" || return 1
    env -u MAKEFLAGS make -s -C "$root" BUILD="$dir/core" PREFIX="$dir/usr" install >"$logs/installed.log" 2>&1 || { tail "$logs/installed.log"; return 1; }
    package=$(cd "$root" && BUILD=$build tools/php-package.sh) && tar -xzf "$package" -C "$dir" && mv "$dir"/libcache-* "$dir/ext" || return 1
    (cd "$dir/ext" && phpize && PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig ./configure --with-libcache=pkg-config &&
        env -u MAKEFLAGS make) >"$logs/installed.log" 2>&1 || { tail "$logs/installed.log"; return 1; }
    LD_LIBRARY_PATH=$dir/usr/lib php -n -d extension="$dir/ext/modules/libcache.so" -r \
        '$c = Libcache\Cache::open(); exit($c->set("a", [1]) && $c->get("a") === [1] ? 0 : 1);' &&
        ldd "$dir/ext/modules/libcache.so" | grep -q libcache.so.0
}

# There is no thread-safe PHP among Debian's packages: at least it compiles as one would.
step_zts() {
    local bad=0
    for file in *.c; do
        gcc -fsyntax-only -DZTS -DCOMPILE_DL_LIBCACHE -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1 -D_GNU_SOURCE $(php-config --includes) \
            -I"$root/include" -I"$root/lib" -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare "$file" >>"$logs/zts.log" 2>&1 || bad=1
    done
    grep -E 'error|warning: ' "$logs/zts.log" | grep -v /usr/include | head
    return $bad
}

step_fpm() {
    ls /usr/sbin/php-fpm* >/dev/null 2>&1 || need php-fpm php-fpm || return 0
    built release && php -n $(modules posix pcntl) tests/fpm/endings.php "$so" &&
        php -n $(modules posix pcntl) tests/fpm/storm.php "$so" "${LIBCACHE_FPM_SECONDS:-8}"
}

step_phpunit() {
    need phpunit phpunit || return 0
    built release && php -d extension="$so" "$(command -v phpunit)" --colors=never -c phpunit.xml >"$logs/phpunit.log" 2>&1
    local status=$?
    tail -3 "$logs/phpunit.log" | sed '/^$/d; s/^/    /'
    [ $status -eq 0 ] || { cat "$logs/phpunit.log"; return 1; }
}

step_laravel() {
    [ -x laravel/run-tests.sh ] || { echo "    skipped: there is no laravel/run-tests.sh"; return 0; }
    built release && LIBCACHE_EXTENSION=$so laravel/run-tests.sh
}

mkdir -p "$logs"
need phpize php-dev && need redis-server redis-server || exit 0
: >"$logs/zts.log"
files=(tests)
steps=("$@")
[ $# -gt 0 ] || steps=(phpt opcache valgrind asan installed zts fpm phpunit laravel)
if [ "${1:-}" = phpt ] && [ $# -gt 1 ]; then
    steps=(phpt)
    shift
    files=("$@")
fi
for s in "${steps[@]}"; do step "$s" "step_$s"; done
[ -z "$failed" ] || { echo "php: failed:$failed"; exit 1; }
