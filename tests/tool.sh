#!/usr/bin/env bash
# Tries the command-line tool: every command on real segments and a real redis-server, JSON read by python3's parser, bad input,
# top against what two processes did, the terminal, the HTTP responder, manual page and completion.
#
#   tests/tool.sh TOOL TOOL-HOST      (make print-tool)
set -u
cd "$(dirname "$0")/.." || exit 1
source tests/tool/support.sh

# ---- Help, manual page, completion ------------------------------------------------------------------------------------

commands=$("$tool" --help | sed -n '/^Commands:/,/^$/ s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 13 ] || fail "--help lists too few commands: $commands"
wants 0 "$tool" --help
wants 0 "$tool" --version
wants 0 "$tool" --version --json
json 'd["version"].count(".") == 2'
for command in $commands; do
    wants 0 "$tool" $command --help
    grep -q "^usage: libcache $command" "$out" || fail "$command --help has no usage"
    grep -qE "^\.(B|BI) $command( |\$)" docs/libcache.1 || fail "the manual page lacks $command"
    sed -n '/^Options:/,$ s/^  .*\(--[a-z-]*\).*/\1/p' "$out" | while read -r option; do
        plain=$(sed 's/\\-/-/g; s/\\&//g' docs/libcache.1)
        grep -q -e "$option" <<<"$plain" || echo "the manual page lacks $command $option"
        grep -q -e "$option" tools/libcache/completion.bash || echo "the completion lacks $command $option"
    done >"$scratch/lacks"
    [ -s "$scratch/lacks" ] && fail "$(cat "$scratch/lacks")"
done
if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning docs/libcache.1 >"$scratch/lint" 2>&1 || fail "mandoc: $(head -3 "$scratch/lint")"
fi
if command -v man >/dev/null && man --version >/dev/null 2>&1; then
    LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 docs/libcache.1 2>"$scratch/lint" >/dev/null
    [ -s "$scratch/lint" ] && fail "man: $(head -3 "$scratch/lint")"
fi

bash -n tools/libcache/completion.bash || fail "the completion does not parse"
complete_words() { # what is offered for these words
    PATH="$scratch/path:$PATH" bash -c 'source tools/libcache/completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _libcache; printf "%s\n" "${COMPREPLY[@]}"' completion "$@" 2>&1
}
mkdir "$scratch/path" && ln -s "$(realpath "$tool")" "$scratch/path/libcache"
[ "$(complete_words libcache to)" = top ] || fail "completion: 'to' is not completed to top"
complete_words libcache ls --v | grep -qx -e --values || fail "completion: ls --v is not completed"
[ "$(complete_words libcache top --sort = g)" = gets ] || fail "completion: --sort=g is not completed"
[ "$(complete_words libcache top --sort = | wc -l)" = 5 ] || fail "completion: --sort= is not completed"

# ---- Bad input ----------------------------------------------------------------------------------------------------------

complains 2 'which command' "$tool"
complains 2 'no command frob' "$tool" frob
complains 2 'no option --frob' "$tool" stat --frob
complains 2 'no option -x' "$tool" stat -x
complains 2 'a value is missing' "$tool" stat --name
complains 2 'takes no value' "$tool" stat --json=yes
complains 2 'something is missing' "$tool" get user
complains 2 'too many operands' "$tool" get user 1 2
complains 2 '--ttl 5x: .*unit' "$tool" set -n x user k v --ttl 5x
complains 2 '--ttl 5: .*unit' "$tool" set -n x user k v --ttl 5
complains 2 '--codec 256: must be 0 to 255' "$tool" set -n x user k v --codec 256
complains 2 '--interval 1ms: must be 50' "$tool" top --interval 1ms
complains 2 'one of VALUE' "$tool" set -n x user k
complains 2 'one of VALUE' "$tool" set -n x user k v --negative
complains 2 'one of --tag' "$tool" invalidate -n x
complains 2 'one of --tag' "$tool" invalidate -n x --all --tag a
complains 2 'say which segment' "$tool" set user k v
complains 2 'say --yes' "$tool" clear -n x
complains 2 'segment name' "$tool" stat -n ../etc
complains 3 'there is no' "$tool" stat -n no-such-segment-here
complains 2 'redis_url' "$tool" set -r http://x user k v
complains 5 'cannot be opened\|No such file' "$tool" set -n x user k -f /nonexistent
complains 2 'No such file' "$tool" stat -r @/nonexistent
complains 2 '/nonexistent' "$tool" warm -n x /nonexistent
complains 2 'only loopback' "$tool" metrics -n x --listen 0.0.0.0:9
complains 2 'sort' "$tool" top --sort colour
wants 2 "$tool" get user --json
json '"missing" in d["error"] and d["exit"] == 2'

# ---- A segment without Redis -----------------------------------------------------------------------------------------------

a=tool-a-$$ b=tool-b-$$
segments="$a $b"
host_start A --memory 8388608 $a
tell A "set user 0 1000 100 tenant:7" ok
tell A "set catalog 0 20 5000" ok
tell A "get user 0 1200" "1000 200"
tell A "negative user nobody" ok
tell A "increment user counter" ok
tell A "fenced user f tenant:8" fenced
tell A "load user l 20" ok
export LIBCACHE_SEGMENT=$a

wants 0 "$tool" segments --json
json "[s for s in d if s['name'] == '$a'][0]['in_use'] is True and [s for s in d if s['name'] == '$a'][0]['size_bytes'] == 8388608"
[ "$("$tool" segments --names | grep -x $a)" = $a ] || fail "segments --names does not name $a"
wants 0 "$tool" stat --json
json "{n['name']: n for n in d['namespaces']}['user']['hits_l1'] == 1000"
json "{n['name']: n for n in d['namespaces']}['user']['misses'] == 201 == d['total']['miss_cold']"
json "{n['name']: n for n in d['namespaces']}['user']['sets'] == 1001 + 1 and d['total']['fenced'] == 1 and d['total']['loads'] == 1"
json "d['memory_bytes'] == 8388608 and d['entries'] == 1023 and d['segment'] == '$a'"
wants 0 "$tool" stat
grep -q '^user  *1201  *83.3%' "$out" || fail "stat's table has other numbers: $(grep ^user "$out")"

before=$(sha256sum </dev/shm/libcache-$(id -u)-$a)
for command in stat "ls --values" "get user k1" "get -t user k2" "top --once --interval 50ms" metrics "metrics --json" segments; do
    wants 0 "$tool" $command
done
[ "$(sha256sum </dev/shm/libcache-$(id -u)-$a)" = "$before" ] || fail "looking has changed the segment"

wants 0 "$tool" ls --json
json 'len(d) == 1023 and len([e for e in d if e["namespace"] == "catalog"]) == 20'
json 'sorted(set(e["result"] for e in d)) == ["hit", "negative"]'
wants 0 "$tool" ls --json -N 'cat*' 'k1?' -l 5
json 'len(d) == 5 and all(e["namespace"] == "catalog" and e["value_bytes"] == 5000 and len(e["key"]) == 3 for e in d)'
wants 0 "$tool" ls --json --tag tenant:7
json 'len(d) == 1000 and all(e["tags"] == ["tenant:7"] and e["ttl_left_ms"] > 3500000 for e in d)'
wants 0 "$tool" ls --json --tag other
json 'd == []'
[ "$("$tool" ls -k -N user 'k[0-2]' | sort | tr '\n' ' ')" = "k0 k1 k2 " ] || fail "ls --keys lists other keys"
[ "$("$tool" ls -k -N user 'k[!3-9]' | wc -l)" = 3 ] || fail "ls does not know [!...]"
[ "$("$tool" scan -k -N user nobody)" = nobody ] || fail "scan is not ls"

[ "$("$tool" get user counter)" = 41 ] || fail "get user counter"
complains 1 miss "$tool" get user absent
complains 1 miss "$tool" get absent absent
wants 0 "$tool" get user nobody --json
json 'd["result"] == "negative" and "value" not in d'
wants 1 "$tool" get user absent --json
json 'd == {"namespace": "user", "key": "absent", "result": "miss"}'

head -c 3000 /dev/urandom >"$scratch/bytes"
[ "$(complete_words libcache get --name = $a cat)" = catalog ] || fail "completion: namespaces are not completed"
if command -v zsh >/dev/null; then
    /usr/bin/python3 tests/tool/zsh.py "$scratch" $a || fail "completion in zsh"
else
    echo "tool: completion in zsh is not tried, zsh is not installed"
fi

wants 0 "$tool" set user bytes -f "$scratch/bytes" --codec 16 --flags 4294967295 --ttl 10m --tag one --tag two
"$tool" get user bytes | cmp - "$scratch/bytes" || fail "bytes are not given back as they were"
wants 0 "$tool" get user bytes --json
json 'base64.b64decode(d["value_base64"]) == open(scratch + "/bytes", "rb").read()'
json 'd["codec"] == 16 and d["codec_name"] == "php" and d["flags"] == 4294967295'
json '590000 < d["ttl_left_ms"] <= 600000 and d["tier"] == "L1"'
wants 0 "$tool" set user $'a\nb\e[31m' $'käse\t' -T forever
wants 0 "$tool" get user $'a\nb\e[31m' -j
json 'd["key"] == "a\nb\x1b[31m" and d["value"] == "käse\t" and d["ttl_left_ms"] is None'
wants 0 "$tool" ls $'a*' --values
grep -q 'a\\x0ab\\x1b\[31m' "$out" || fail "ls prints control characters as they are"
printf '' | wants 0 "$tool" set user empty -f -
wants 0 "$tool" get user empty --json
json 'd["value"] == ""'
wants 0 "$tool" set user none --negative
wants 1 "$tool" set user none x --add --json
json 'd["result"] == "exists"'
wants 0 "$tool" set user new x --add
complains 2 'too large' "$tool" set user large -f <(head -c 2000000 /dev/zero)
complains 2 'too long\|key is null' "$tool" set user "$(head -c 5000 /dev/zero | tr '\0' k)" x

wants 0 "$tool" del user k0 k1 absent --json
json 'd == {"asked": 3, "deleted": 2}'
wants 1 "$tool" del user k0
complains 1 'no namespace nowhere' "$tool" del nowhere k0
tell A "get user 0 3" "1 2"
complains 1 'no namespace nowhere' "$tool" invalidate --namespace nowhere
wants 0 "$tool" invalidate --tag tenant:7 --tag unknown
tell A "get user 0 1000" "0 1000"
tell A "get catalog 0 20" "20 0"
wants 0 "$tool" invalidate --namespace catalog
tell A "get catalog 0 20" "0 20"
tell A "set catalog 0 20 100" ok
wants 0 "$tool" clear --yes --json
json 'd["result"] == "ok"'
tell A "get catalog 0 20" "0 20"
wants 0 "$tool" ls --json
json 'd == []'
unset LIBCACHE_SEGMENT

# ---- warm -----------------------------------------------------------------------------------------------------------------------

host_start B --memory 4194304 $b
printf 'k1\tone\r\n\nk2\ttwo words\nuser\tk3\tthree\n' >"$scratch/tsv"
wants 0 "$tool" warm -n $a --namespace words --ttl 5m "$scratch/tsv" --json
json 'd == {"lines": 4, "stored": 3, "fetched": 0, "missing": 0, "refused": 0}'
[ "$("$tool" get -n $a words k1)" = $'one\r' ] && [ "$("$tool" get -n $a user k3)" = three ] || fail "warm stored other values"
cat >"$scratch/lines" <<'LINES'
{"namespace": "docs", "key": "a\"\u00e4\ud83d\ude00", "value": "x\ny", "ttl_ms": null, "tags": ["one", "t\u0077o"], "codec": 1, "flags": 7, "x": [1, {"b": "]}"}]}

{"namespace": "docs", "key_base64": "AAEC", "value_base64": "/wA=", "ttl_ms": 60000}
{"namespace": "docs", "key": "none", "result": "negative"}
LINES
wants 0 "$tool" warm -n $a "$scratch/lines"
wants 0 "$tool" get -n $a docs 'a"ä😀' --json
json 'd["value"] == "x\ny" and d["codec"] == 1 and d["flags"] == 7 and d["ttl_left_ms"] is None'
wants 0 "$tool" ls -n $a -N docs --tag two --values --json
json 'len(d) == 1 and d[0]["tags"] == ["two"] and len(d[0]["tag_hashes"]) == 2'
"$tool" ls -n $a --values --json >"$scratch/dump"
wants 0 "$tool" warm -n $b - <"$scratch/dump"
"$tool" ls -n $a -N docs --values --json >"$scratch/first"
"$tool" ls -n $b -N docs --values --json >"$scratch/second"
python 'names = ("namespace", "key", "key_base64", "value", "value_base64", "codec", "flags", "result")
strip = lambda f: sorted(str([e.get(k) for k in names]) for e in json.load(open(scratch + f)))
assert strip("/first") == strip("/second") and len(strip("/first")) == 3, (strip("/first"), strip("/second"))'
for line in '{"key": 5}' '{"key": "a", "value": "b"' '{"key": "a"} {}' '{"value": "b"}' '{"key": "\ud800"}' '{"key": "a", "codec": 300}' \
    "{\"key\": \"a\", \"tags\": [$(seq -s, -f '"%g"' 65)]}" \
    '{"key": "a", "value_base64": "x"}' '{"key": "a", "tags": "b"}' '{]' '{"key": "a", "x": [[}'; do
    printf '{"key": "good", "value": "1"}\n%s\n' "$line" >"$scratch/bad"
    complains 2 'bad:2: ' "$tool" warm -n $a -N words -F json "$scratch/bad"
done
complains 2 'no namespace' "$tool" warm -n $a "$scratch/bad"
echo key >"$scratch/keys"
complains 2 'say --redis' "$tool" warm -n $a -N words "$scratch/keys"
complains 2 'want keys' "$tool" warm -n $a -F xml "$scratch/tsv"
host_end B

# ---- top ------------------------------------------------------------------------------------------------------------------------

host_start C --memory 8388608 $a
"$tool" top -n $a --json --interval 200ms >"$scratch/top" 2>"$scratch/top.err" &
top=$!
started="$started $top"
until_lines "$scratch/top" 1
ask A "busy 1.0 load"
ask C "busy 1.2 load"
hear A first
hear C second
until_lines "$scratch/top" $(($(wc -l <"$scratch/top") + 2))
kill -TERM $top
wait $top || fail "top ends with $? after SIGTERM: $(cat "$scratch/top.err")"
python "first, second = [int(n) for n in '$first'.split()], [int(n) for n in '$second'.split()]
rows = [n for line in open(scratch + '/top') for n in json.loads(line)['namespaces'] if n['name'] == 'load']
seen = [sum(r[k] for r in rows) for k in ('gets', 'hits_l1', 'sets')]
done = [a + b for a, b in zip(first, second)]
assert seen == done and done[0] > 1000 and done[1] > 0, (seen, done)
assert sum(r['misses'] for r in rows) == done[0] - done[1]
assert len([r for r in rows if r['gets']]) >= 4
last = [json.loads(line) for line in open(scratch + '/top')][-1]
assert 1500 <= {n['name']: n for n in last['namespaces']}['load']['entries'] <= 1500, last"
wants 0 "$tool" top -n $a --count 2 --interval 50ms --sort name
[ "$(grep -c '^NAMESPACE' "$out")" = 2 ] || fail "top --count 2 does not print two tables"
grep -q '^catalog.*' "$out" || fail "top's table lacks a namespace"
/usr/bin/python3 tests/tool/terminal.py "$tool" $a || fail "top and the terminal"
host_end C

# ---- metrics ----------------------------------------------------------------------------------------------------------------------

wants 0 "$tool" metrics -n $a
[ "$(tail -1 "$out")" = "# EOF" ] || fail "metrics does not end with # EOF"
grep -q '^libcache_reads_total{namespace="user"' "$out" || fail "metrics lacks the namespace user"
wants 0 "$tool" metrics -n $a --json
json 'isinstance(d["namespaces"], list)'
complains 2 'means something' "$tool" metrics -n $a --count 2
/usr/bin/python3 tests/tool/responder.py "$tool" $a || fail "the HTTP responder"

# ---- Redis ---------------------------------------------------------------------------------------------------------------------

redis_start main
url=unix://$scratch/main/s
r=tool-r-$$
segments="$segments $r"
host_start R --redis $url --prefix shop --memory 4194304 $r
export LIBCACHE_REDIS_PREFIX=shop
tell R "set user 0 10 100 tenant:7" ok
complains 3 'another identity; if its programs use Redis' "$tool" set -n $r user k0 x
[ "$("$tool" get -n $r user k0 | wc -c)" = 100 ] || fail "get looks into a segment with a Redis tier without being told"
wants 0 "$tool" get -r $url user k1 --json
json 'd["tier"] == "L2" and len(d["value"]) == 100'
wants 0 "$tool" get -n $r -r $url user k1 --json
json 'd["tier"] == "L1"'
wants 0 "$tool" set -r $url user remote "from afar" --tag tenant:8
complains 1 miss "$tool" get -n $r -r $url user remote --local
[ "$("$tool" get -n $r -r $url user remote)" = "from afar" ] || fail "get does not ask Redis"
wants 0 "$tool" del -r $url user k0
tell R poll ok
tell R "get user 0 2" "1 1"
wants 0 "$tool" invalidate -r $url --tag tenant:7
tell R poll ok
tell R "get user 0 10" "0 10"
wants 0 "$tool" set -n $r -r $url user k5 here
[ "$("$tool" get -n $r user k5)" = here ] || fail "set with a segment and Redis does not store into the segment"
printf 'k5\nremote 9\nabsent\n' >"$scratch/keys"
wants 0 "$tool" warm -n $r -r $url -N user "$scratch/keys" --json
json 'd["fetched"] == 2 and d["missing"] == 1'
tell R poll ok
wants 0 "$tool" stat -n $r --json
json 'd["epochs"] == 1 and d["owed_bytes"] == 0 and d["log_position"] > 10'
wants 0 "$tool" bench -r $url --json --seconds 600ms --keys 1000
json '[f["name"] for f in d["memory"]][:2] == ["get, hit", "get, absent"] and d["memory"][0]["found"] == 1'
json 'len(d["redis"]) == 3 and all(f["ns"] > 0 and f["p99_ns"] >= f["p50_ns"] > 0 for f in d["memory"] + d["redis"])'
[ -z "$(redis_cli main --scan --pattern '*bench*')" ] || fail "bench leaves keys in Redis"

redis_start secret "requirepass hunter22"
secret_url=unix://:hunter22@$scratch/secret/s
for bad in "$secret_url" "unix://:wrongpw77@$scratch/secret/s" "redis://u:wrongpw77@127.0.0.1:1" "rediss://u:wrongpw77@h"; do
    "$tool" set -r "$bad" user k v >"$scratch/seen" 2>&1
    "$tool" get -r "$bad" user absent >>"$scratch/seen" 2>&1
    "$tool" doctor -r "$bad" >>"$scratch/seen" 2>&1
    "$tool" doctor -r "$bad" --json >>"$scratch/seen" 2>&1
    grep -E 'hunter22|wrongpw77' "$scratch/seen" && fail "a password was printed"
done
echo "$secret_url" >"$scratch/url"
wants 0 "$tool" set -r "@$scratch/url" user k v
[ "$(LIBCACHE_REDIS_URL=$secret_url "$tool" get user k)" = v ] || fail "LIBCACHE_REDIS_URL is not read"
"$tool" bench -r "$secret_url" -s 3s >"$scratch/bench" 2>&1 &
bench=$!
started="$started $bench"
is_masked() { tr '\0' '\n' </proc/$bench/cmdline | grep -qx '\*\**'; } # and not: there is none, as before the exec
wait_until 'the password is masked in the list of arguments' is_masked
tr '\0' '\n' </proc/$bench/cmdline | grep -q hunter22 && fail "the password is in the list of arguments"
wait_until 'bench measures' test -s "$scratch/bench"
kill -INT $bench
wait $bench
[ $? -eq 5 ] || fail "bench does not say that it was interrupted"

redis_end main
complains 4 'not done' "$tool" set -r $url user k v
complains 4 'did not answer' "$tool" get -r $url user k
complains 4 'owed' "$tool" invalidate -n $r -r $url --all
wants 0 "$tool" stat -n $r --json
json 'd["owed_bytes"] > 0'
wants 0 "$tool" set -n $r -r $url --local user k5 again
wants 0 "$tool" del -n $r -r $url --local user k5
host_end R
host_end A

finish "tool"
