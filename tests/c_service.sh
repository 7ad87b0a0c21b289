#!/usr/bin/env bash
# Builds examples/c-service as a user does, against an installed libcache by pkg-config only, and asks it.
# Wants libmicrohttpd, SQLite and curl; redis-server for its second half.                SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/.." || exit 1

scratch=$(mktemp -d) || exit 1
pids=
cleanup() {
    for pid in $pids; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    rm -rf "$scratch"
}
trap cleanup EXIT
failed=0
fail() {
    echo "c_service: $*"
    failed=1
}

${MAKE:-make} -s --no-print-directory VARIANT=release install DESTDIR="$scratch/root" PREFIX="$scratch/opt" >/dev/null || exit 1
# Installed where libcache.pc says, so that nothing but pkg-config is needed.
mv "$scratch/root$scratch/opt" "$scratch/opt" || exit 1
export PKG_CONFIG_PATH=$scratch/opt/lib/pkgconfig LD_LIBRARY_PATH=$scratch/opt/lib
cp -r examples/c-service "$scratch/src"
(cd "$scratch/src" && ${MAKE:-make} -s --no-print-directory CFLAGS="-O2 -Werror") || { fail "does not build"; exit 1; }
service=$scratch/src/c-service

start() { # name, options...: sets url
    local name=$1
    shift
    "$service" --delay 20 "$@" >"$scratch/$name.out" 2>"$scratch/$name.err" &
    pids="$pids $!"
    last_pid=$!
    for _ in $(seq 200); do
        url=$(cat "$scratch/$name.out")
        [ -n "$url" ] && return 0
        kill -0 $last_pid 2>/dev/null || break
        read -rt 0.05 <> <(:)
    done
    cat "$scratch/$name.err"
    fail "$name does not start"
    exit 1
}

ask() { curl -s -m 10 -D "$scratch/head" "$@"; }
origin() { sed -n 's/^X-Cache: \([a-z]*\).*/\1/p' "$scratch/head"; }
expect() { # what is wanted (a pattern), where it must come from ("": no matter), curl's words...
    local wanted=$1 from=$2 body
    shift 2
    body=$(ask "$@")
    [[ $body =~ $wanted ]] || fail "$*: '$body' is not $wanted"
    [ -z "$from" ] || [ "$(origin)" = "$from" ] || fail "$*: comes from '$(origin)', not from $from"
}
status_is() { # status, curl's words...
    local wanted=$1 got
    shift
    got=$(curl -s -m 10 -o /dev/null -w '%{http_code}' "$@")
    [ "$got" = "$wanted" ] || fail "$*: status $got, not $wanted"
}

# ---- One process ------------------------------------------------------------------------------------------------------------

start one --threads 2
one=$url
expect '"theme": "light"' source "$one/tenants/7/config"
expect '"theme": "light"' memory "$one/tenants/7/config"
grep -qE '^X-Response-Time: [0-9.]+ms' "$scratch/head" || fail "no X-Response-Time"
grep -q '^Server-Timing: cache;desc=memory' "$scratch/head" || fail "no Server-Timing"
expect '"enabled": true' source "$one/tenants/7/features/reports"
expect '"orders": 200' source "$one/tenants/7/report"
expect '"theme": "light"' source "$one/tenants/8/config"

# A change ends what was read from it, and nothing else.
status_is 204 -X PUT "$one/tenants/7/config?theme=dark"
expect '"theme": "dark"' source "$one/tenants/7/config"
expect '"theme": "light"' memory "$one/tenants/8/config"
expect '"orders": 200' source "$one/tenants/7/report"
status_is 204 -X POST "$one/tenants/7/orders?cents=500"
expect '"orders": 201' source "$one/tenants/7/report"
expect '"theme": "dark"' memory "$one/tenants/7/config"
status_is 204 -X PUT "$one/tenants/7/features/reports?enabled=0"
expect '"enabled": false' source "$one/tenants/7/features/reports"

# What is not there is remembered, too; what makes no sense is refused.
status_is 404 "$one/tenants/7/features/unknown"
queries() { ask "$one/ready" | sed 's/.*"queries": \([0-9]*\).*/\1/'; }
before=$(queries)
status_is 404 "$one/tenants/7/features/unknown"
[ "$(queries)" = "$before" ] || fail "a feature known to be missing was asked for again"
status_is 404 "$one/tenants/999999/config"
status_is 404 "$one/tenants/x/config"
status_is 404 "$one/tenants/7/nothing"
status_is 400 -X PUT "$one/tenants/7/config"
status_is 400 -X POST "$one/tenants/7/orders?cents=-1"
status_is 404 -X PUT "$one/tenants/999999/config?theme=dark"

# Forty at once for one cold key: one query.
before=$(queries)
seq 40 | xargs -P 40 -I{} curl -s -m 10 -o /dev/null "$one/tenants/9/report"
[ $(($(queries) - before)) = 1 ] || fail "a stampede of 40 made $(($(queries) - before)) queries"

expect 'libcache_[a-z_]+\{[^}]*namespace="tenant_config"' '' "$one/metrics"
ask "$one/metrics" | tail -1 | grep -qx '# EOF' || fail "the metrics do not end with # EOF"
refuse() { "$service" "$@" >/dev/null 2>&1 && fail "accepted: $*"; }
refuse --port x
refuse --threads 1
refuse --unknown
refuse --redis http://127.0.0.1

# ---- Two hosts with a Redis ------------------------------------------------------------------------------------------------------

if command -v redis-server >/dev/null; then
    redis-server --port 0 --unixsocket "$scratch/redis.sock" --save '' --dir "$scratch" >/dev/null 2>&1 &
    redis=$!
    pids="$pids $redis"
    for _ in $(seq 200); do [ -S "$scratch/redis.sock" ] && break; read -rt 0.05 <> <(:); done
    start a --redis "unix://$scratch/redis.sock" --database "$scratch/db"
    a=$url
    start b --redis "unix://$scratch/redis.sock" --database "$scratch/db"
    b=$url
    expect '"theme": "light"' source "$a/tenants/5/config"
    expect '"theme": "light"' redis "$b/tenants/5/config"
    expect '"theme": "light"' memory "$b/tenants/5/config"
    status_is 204 -X PUT "$a/tenants/5/config?theme=dark"
    for _ in $(seq 100); do
        body=$(ask "$b/tenants/5/config")
        [[ $body == *dark* ]] && break
    done
    [[ $body == *dark* ]] || fail "the other host still says $body"
    kill -9 $redis
    wait $redis 2>/dev/null
    expect '"theme": "dark"' '' "$a/tenants/5/config"
    expect '"theme": "light"' source "$a/tenants/6/config"
    status_is 200 "$a/ready"
fi

# ---- The end: on SIGTERM, with status 0 ----------------------------------------------------------------------------------------------

kill -TERM $last_pid
wait $last_pid
status=$?
[ $status = 0 ] || fail "ends with status $status on SIGTERM"

[ $failed = 0 ] && echo "c_service: ok"
exit $failed
