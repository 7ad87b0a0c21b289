#!/bin/sh
# For Doxygen: a page of docs/ in the form that it reads. Headings get labels, which links into a page then name, as GitHub makes them of
# the heading's text; links to what has no page there become text.                          SPDX-License-Identifier: MIT
page=$(basename "$1" .md)
sed -z -E 's/\[([^]]*)\]\(\.\.\/[^)]*\)/\1/g' "$1" |
    awk -v page="$page" '
        /^```/ { code = !code }
        !code && /^##+ / {
            name = tolower($0)
            sub(/^#+ */, "", name)
            gsub(/[^a-z0-9_ -]/, "", name)
            gsub(/ /, "-", name)
            $0 = $0 " {#" page "-" name "}"
        }
        !code && (n = split($0, part, "`")) % 2 { # `\047a\047` is no code there, but ``\047a\047`` is
            $0 = part[1]
            for (i = 2; i <= n; i += 2) {
                quote = part[i] ~ /\047/ ? "``" : "`"
                $0 = $0 quote part[i] quote part[i + 1]
            }
        }
        { print }' |
    sed -E -e "s/\]\(#([^)]*)\)/](#$page-\1)/g" -e 's/\]\(([a-z-]+)\.md#([^)]*)\)/](#\1-\2)/g' -e 's,\]\(monitoring/,](,g'
