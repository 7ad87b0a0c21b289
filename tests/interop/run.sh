#!/usr/bin/env bash
# Builds both extensions and lets PHP and Python read each other's entries: see interop.py.      SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
mkdir -p "$build/logs"
extension=$(bindings/php/build.sh release 2>"$build/logs/interop-php.log" | tail -1)
[ -f "$extension" ] || { tail -40 "$build/logs/interop-php.log"; exit 1; }
${MAKE:-make} -s --no-print-directory python >"$build/logs/interop-python.log" 2>&1 || { tail -40 "$build/logs/interop-python.log"; exit 1; }
PYTHONPATH=$build/python/release/lib timeout 120 /usr/bin/python3 tests/interop/interop.py "$extension"
