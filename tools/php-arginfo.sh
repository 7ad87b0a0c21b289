#!/usr/bin/env bash
# Makes bindings/php/libcache_arginfo.h from libcache.stub.php, with the generator of php-dev and Debian's php-parser.
# The result is committed: nobody needs this to build. SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../bindings/php"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$(php-config --extension-dir)"/build/gen_stub.php libcache.stub.php "$dir"
version=$(sed -n 's/^ *\$version = "\([0-9.]*\)";.*/\1/p' "$dir/gen_stub.php" | head -1)
mkdir -p "$dir/PHP-Parser-$version/lib" # where the generator would put what it downloads
ln -s /usr/share/php/PhpParser "$dir/PHP-Parser-$version/lib/PhpParser"
(cd "$dir" && php gen_stub.php libcache.stub.php)
cp "$dir/libcache_arginfo.h" .
