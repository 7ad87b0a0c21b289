#!/usr/bin/env bash
# Packs the PHP extension's sources for who builds them with an installed core, away from the repository. SPDX-License-Identifier: MIT
#
#   tools/php-package.sh           writes build/php/libcache-VERSION.tgz and prints its path
#   tools/php-package.sh --check   whether bindings/php/package.xml lists what there is
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
version=$(sed -n 's|.*<version>\([0-9.]*\)</version>.*|\1|p' bindings/php/package.xml | head -1)
dir=$build/php/package/libcache-$version
rm -rf "$build/php/package"
mkdir -p "$dir/base" "$dir/tests"
cp bindings/php/*.c bindings/php/*.h bindings/php/config.m4 bindings/php/Makefile.frag bindings/php/libcache.stub.php bindings/php/README.md "$dir"
cp bindings/php/tests/*.phpt bindings/php/tests/*.inc "$dir/tests"
cp lib/base/quantity.c lib/base/quantity.h "$dir/base" # the reader of "90s" and "64MiB" is the core's

listed=$(sed -n 's|.*<file role="[a-z]*">\(.*\)</file>.*|\1|p' bindings/php/package.xml | sort)
there=$(cd "$dir" && find . -type f -printf '%P\n' | sort)
if [ "$listed" != "$there" ]; then
    diff <(echo "$listed") <(echo "$there") || echo "bindings/php/package.xml does not list what there is" >&2
    exit 1
fi
grep -q "PHP_LIBCACHE_VERSION \"$version\"" bindings/php/php_libcache.h || { echo "package.xml and php_libcache.h name other versions" >&2; exit 1; }
[ "${1:-}" = --check ] && exit 0
tar -C "$build/php/package" -czf "$build/php/libcache-$version.tgz" "libcache-$version"
echo "$build/php/libcache-$version.tgz"
