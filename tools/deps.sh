#!/usr/bin/env bash
# Finds out what is missing to build libcache and installs it with apt.
#
#   tools/deps.sh          what building, the demo and the test programs need
#   tools/deps.sh test     and what `make test` needs: clang, linters, valgrind, spin
#   tools/deps.sh php      and what the PHP extension, the Laravel package and their tests need
#   tools/deps.sh bench    and the caches that `make bench` compares with
#
# It looks for the things themselves (does it compile, link, run?), not for packages. It says what it installs,
# and says one line when nothing is missing. Exit status 1: something is missing and could not be installed.
set -u

group=${1:-build}
case $group in
build | test | bench | php) ;;
*) echo "usage: tools/deps.sh [test|bench|php]" >&2; exit 2 ;;
esac

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

has() { command -v "$1" >/dev/null 2>&1; }

# Does a program that includes the header ($3) and is linked so ($4...) come out of this compiler ($1: command, $2: language)?
builds() {
    local compiler=$1 language=$2 header=$3
    shift 3
    printf '#include <%s>\nint main(void) { return 0; }\n' "$header" |
        "$compiler" -x "$language" - -o "$scratch/program" "$@" >/dev/null 2>&1
}

missing=()
need() { # package, then the command that shows it is there
    local package=$1
    shift
    "$@" || missing+=("$package")
}

check_builds() {
    pkg-config --exists check 2>/dev/null && builds gcc c check.h $(pkg-config --cflags --libs check)
}

# Of the system's Python: that is the one that its packages are for.
python_has() { /usr/bin/python3 -c "import $1" >/dev/null 2>&1; }

python_has_headers() {
    [ -f "$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h" ]
}

subunit_is_settled() { # wanted only where Check was built with it
    ! has pkg-config || ! grep -qs subunit "$(pkg-config --variable=pcfiledir check 2>/dev/null)/check.pc" ||
        pkg-config --exists libsubunit
}

sanitizers_build() {
    builds clang c stdint.h -fsanitize=address &&
        printf '#include <stdint.h>\n#include <stddef.h>\nint LLVMFuzzerTestOneInput(const uint8_t *, size_t);\n%s\n' \
            'int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d == 0 && n; }' |
        clang -x c - -o "$scratch/program" -fsanitize=fuzzer >/dev/null 2>&1
}

# The package that has clang's run-time libraries goes by clang's own version.
clang_runtime_package() {
    local major=
    has clang && major=$(clang -dumpversion | cut -d. -f1)
    [ -n "$major" ] || major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -1)
    [ -n "$major" ] || major=14
    if [ -n "$(apt-cache search --names-only "^libclang-rt-$major-dev\$" 2>/dev/null)" ] || ! has apt-cache; then
        echo "libclang-rt-$major-dev"
    else
        echo "libclang-common-$major-dev"
    fi
}

php_has() { has php && php -m | grep -qix "$1"; }

has_nginx() { has nginx || [ -x /usr/sbin/nginx ]; }
has_fpm() { has php-fpm || compgen -c php-fpm >/dev/null || ls /usr/sbin/php-fpm* >/dev/null 2>&1; }

find_missing() {
    missing=()
    need gcc has gcc
    need g++ has g++
    need make has make
    need pkg-config has pkg-config
    need libc6-dev builds gcc c stdio.h -lpthread
    need libxxhash-dev builds gcc c xxhash.h
    need uthash-dev builds gcc c uthash.h
    need libinih-dev builds gcc c ini.h -linih
    need liblz4-dev builds gcc c lz4.h -llz4
    need libhiredis-dev builds gcc c hiredis/hiredis.h -lhiredis
    need libc-ares-dev builds gcc c ares.h -lcares
    need redis-server has redis-server
    need check check_builds
    need libsubunit-dev subunit_is_settled
    need zlib1g-dev builds gcc c zlib.h -lz
    if [ "$group" = test ]; then
        need clang has clang
        need clang-tidy has clang-tidy
        need cppcheck has cppcheck
        need "$(clang_runtime_package)" sanitizers_build
        need valgrind has valgrind
        need spin has spin
        need libmicrohttpd-dev builds gcc c microhttpd.h -lmicrohttpd
        need libsqlite3-dev builds gcc c sqlite3.h -lsqlite3
        need curl has curl
        need python3 has python3
        need python3-dev python_has_headers
        need python3-setuptools python_has setuptools
        need python3-pip python_has pip
        need python3-wheel python_has wheel
        need python3-pytest python_has pytest
        need python3-pytest-asyncio python_has pytest_asyncio
        need python3-hypothesis python_has hypothesis
        need mypy python_has mypy
        need python3-redis python_has redis.asyncio
        need python3-uvloop python_has uvloop
        need python3-msgpack python_has msgpack
        need python3-cachetools python_has cachetools
        need python3-fastapi python_has fastapi
        need python3-httpx python_has httpx
        need python3-uvicorn python_has uvicorn
        need python3-gunicorn python_has gunicorn
    fi
    if [ "$group" = php ]; then
        need php-cli has php
        need php-dev has phpize
        need php-fpm has_fpm
        need phpunit has phpunit
        need valgrind has valgrind
        need php-apcu php_has apcu
        need php-igbinary php_has igbinary
        need php-mbstring php_has mbstring
        need php-redis php_has redis
        need php-sqlite3 php_has pdo_sqlite
        need php-xml php_has dom
        need php-psr-cache test -f /usr/share/php/Psr/Cache/autoload.php
        need php-psr-simple-cache test -f /usr/share/php/Psr/SimpleCache/autoload.php
        need php-laravel-framework test -d /usr/share/php/Illuminate/Cache
        need nginx-light has_nginx
    fi
    if [ "$group" = bench ]; then
        need librocksdb-dev builds g++ c++ rocksdb/cache.h -lrocksdb
        need libcuckoo-dev builds g++ c++ libcuckoo/cuckoohash_map.hh
        need libtbb-dev builds g++ c++ tbb/concurrent_hash_map.h -ltbb
        need memcached has memcached
        need libmemcached-dev builds gcc c libmemcached/memcached.h -lmemcached
        need liblmdb-dev builds gcc c lmdb.h -llmdb
    fi
}

find_missing
if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: nothing is missing."
    exit 0
fi

echo "deps: missing: ${missing[*]}"
if ! has apt-get; then
    echo "deps: there is no apt-get here; please install these packages (Debian's names) and try again." >&2
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! has sudo; then
        echo "deps: neither root nor sudo here; please run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"; }
known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

# Empty package lists (a fresh container) know nothing: fetch them once.
updated=
update() {
    [ -z "$updated" ] || return 1
    echo "deps: apt-get update"
    updated=yes
    apt update
}
for package in "${missing[@]}"; do
    known "$package" || { update && find_missing; break; }
done

wanted=()
for package in "${missing[@]}"; do
    if known "$package"; then wanted+=("$package"); else echo "deps: this system has no package $package"; fi
done

install() {
    [ ${#wanted[@]} -gt 0 ] || return 1
    echo "deps: apt-get install ${wanted[*]}"
    apt install -y --no-install-recommends "${wanted[@]}"
}
install || { update && install; }

find_missing
if [ ${#missing[@]} -gt 0 ]; then
    echo "deps: still missing: ${missing[*]}" >&2
    exit 1
fi
echo "deps: all is there now."
