#!/usr/bin/env bash
# Compares the PHP extension with APCu; prints a table of medians, and what must be reached. SPDX-License-Identifier: MIT
#
#   bench/php/run.sh [--quick] [--json]
#
# APCu has three ways to keep an array (apc.serializer): all are measured, each in a process of its own next to libcache, and
# the best of them is what libcache is compared with.
set -eu
cd "$(dirname "$0")"
so=$(../../bindings/php/build.sh | tail -1)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for serializer in default php igbinary; do
    php -n -d zend_extension=opcache -d opcache.enable_cli=1 -d extension=igbinary -d extension=apcu -d apc.enable_cli=1 \
        -d apc.entries_hint=65536 -d apc.shm_size=64M -d apc.serializer=$serializer -d extension="$so" \
        bench.php "$@" >"$out/$serializer"
done
json=
for word; do [ "$word" = --json ] && json=--json; done
php -n report.php $json "$out"/*
