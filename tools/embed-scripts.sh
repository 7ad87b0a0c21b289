#!/usr/bin/env bash
# Makes lib/l2/scripts.inc of lib/l2/scripts/*.lua: each script with the prelude before it, as a C string, and the SHA-1 by
# which Redis knows it. Run it after changing a script; `make lint` runs it with --check and fails when it was forgotten.
set -euo pipefail
cd "$(dirname "$0")/.."

out=lib/l2/scripts.inc
new=$(mktemp)
trap 'rm -f "$new"' EXIT

text_of() { # without comments and indentation, which only we read
    cat lib/l2/scripts/prelude.lua "lib/l2/scripts/$1.lua" | sed -e 's/^ *//' -e '/^--/d' -e '/^$/d'
}

{
    echo "/* Made by tools/embed-scripts.sh of lib/l2/scripts/. SPDX-License-Identifier: MIT */"
    for script in hello invalidate set fill touch increment replace prune lease lock rate; do
        sha=$(text_of "$script" | sha1sum | cut -d ' ' -f 1)
        echo "SCRIPT($script, \"$sha\","
        text_of "$script" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/'
        echo ")"
    done
} >"$new"

if [ "${1:-}" = --check ]; then
    cmp -s "$new" "$out" || { echo "$out is not what lib/l2/scripts/ says: run tools/embed-scripts.sh" >&2; exit 1; }
else
    cp "$new" "$out"
fi
