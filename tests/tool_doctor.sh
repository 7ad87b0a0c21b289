#!/usr/bin/env bash
# Plants misconfigurations, one at a time, in real segments and real redis-servers: doctor must find each by its id, and
# nothing besides; and nothing at all where all is well.
#
#   tests/tool_doctor.sh TOOL TOOL-HOST      (make print-tool)
set -u
cd "$(dirname "$0")/.." || exit 1

# With a /dev/shm of its own, where that is allowed: others may be making segments.
if [ -z "${TOOL_DOCTOR_ALONE:-}" ]; then
    for way in "unshare -m" "unshare -r -m"; do
        $way bash -c 'mount -t tmpfs -o size=512m none /dev/shm' 2>/dev/null || continue
        exec $way bash -c 'mount -t tmpfs -o size=512m none /dev/shm && TOOL_DOCTOR_ALONE=yes exec bash "$@"' - "$0" "$@"
    done
fi
source tests/tool/support.sh

good_settings=("maxmemory 100mb" "maxmemory-policy volatile-lfu")
planted=0

# Whoever runs this may have a small /dev/shm, or segments of other builds: what doctor says of that is not planted here.
bystanders=$("$tool" doctor --json | /usr/bin/python3 -c '
import json, sys
print(" ".join(sorted({c["id"] for c in json.load(sys.stdin)["checks"] if c["verdict"] in ("warning", "error")})))')
[ -z "$bystanders" ] || echo "    this host itself has: $bystanders"

# doctor with these arguments finds these ids ("" for none), and no other.
finds() { # "id id ...", arguments...
    local wanted=$1 found status
    shift
    checks=$((checks + 1))
    "$tool" doctor --json "$@" >"$out" 2>"$err" </dev/null
    status=$?
    found=$(/usr/bin/python3 - "$out" "$bystanders" <<'PYTHON'
import json, sys
d = json.load(open(sys.argv[1]))
bad = [c for c in d["checks"] if c["verdict"] in ("warning", "error") and c["id"] not in sys.argv[2].split()]
assert all(c["text"] for c in bad)
print(" ".join(sorted({c["id"] for c in bad})))
PYTHON
    ) || fail "doctor $*: no JSON: $(head -c 300 "$out" "$err")"
    [ "$found" = "$wanted" ] || fail "doctor $*: found '$found' instead of '$wanted'"
    [ -n "$bystanders" ] || [ $status -eq $([ -z "$wanted" ] && echo 0 || echo 1) ] || fail "doctor $*: status $status"
    [ -z "$wanted" ] || planted=$((planted + 1))
}
says() { grep -qe "$1" "$out" || fail "doctor does not say '$1': $(grep -v '"ok"' "$out" | head -c 900)"; }

file_of() { echo "/dev/shm/libcache-$(id -u)-$1"; }
poke() { # file, offset, bytes as printf takes them
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# ---- All is well ---------------------------------------------------------------------------------------------------------

redis_start good "${good_settings[@]}"
url=unix://$scratch/good/s
s=tool-s-$$ t=tool-t-$$
segments="$s $t"
host_start S --redis $url --memory 4194304 --thread $s
tell S "set user 0 100 100 tenant:7" ok
tell S "get user 0 100" "100 0"
finds "" -n $s -r $url
for id in redis.version redis.eviction redis.acl redis.writes redis.latency redis.timeouts redis.clock redis.log redis.trip \
    redis.idle_timeout segment.file segment.entries segment.coherence segment.owed segment.tier shm.space; do
    [[ " $bystanders " = *" $id "* ]] && continue
    json "[c for c in d['checks'] if c['id'] == '$id'][0]['verdict'] == 'ok'"
done
wants $([ -z "$bystanders" ] && echo 0 || echo 1) "$tool" doctor -n $s -r $url
finds "" -n $s
finds "" -r $url
before=$(redis_cli good --scan --pattern '*doctor*' | wc -l)
[ "$before" = 0 ] || fail "doctor leaves $before keys in Redis"

# The user that docs/redis.md gives libcache.
documented=$(sed -n '/^ACL SETUSER cache/,/^```/p' docs/redis.md | grep -v '```' | tr '\n' ' ' | sed 's/~shop/~libcache/; s/~{shop}/~{libcache}/; s/^ACL SETUSER cache //')
redis_cli good ACL SETUSER cache $documented >/dev/null
user_url=unix://cache:secret@$scratch/good/s
finds "" -n $s -r $user_url
json "[c for c in d['checks'] if c['id'] == 'redis.info'][0]['verdict'] == 'skipped'"
finds "" -n $s -r $user_url --admin-redis $url
json "[c for c in d['checks'] if c['id'] == 'redis.eviction'][0]['verdict'] == 'ok'"

# ---- Segments ----------------------------------------------------------------------------------------------------------------

host_start T --memory 1048576 $t
tell T "set user 0 100 100" ok
host_end T
cp "$(file_of $t)" "$scratch/segment"
restore() { rm -f "$(file_of $t)"; cp "$scratch/segment" "$(file_of $t)"; chmod 600 "$(file_of $t)"; }

finds "segment.missing" -n no-such-segment
finds "" -n $t
chmod 644 "$(file_of $t)"
finds "segment.mode" -n $t
chmod 600 "$(file_of $t)"
ln "$(file_of $t)" "$(file_of $t-2)"
finds "segment.links" -n $t
rm -f "$(file_of $t-2)"
mv "$(file_of $t)" "$scratch/away" && ln -s "$scratch/away" "$(file_of $t)"
finds "segment.kind" -n $t
restore
if chown nobody "$(file_of $t)" 2>/dev/null; then
    finds "segment.owner" -n $t
    restore
else
    echo "    not root: a segment of another owner was not planted"
fi
cp "$scratch/segment" /dev/shm/libcache-9999-$t-x
finds "segment.missing" -n $t-x
says "user 9999 has one"
rm -f /dev/shm/libcache-9999-$t-x
if [ -n "${TOOL_DOCTOR_ALONE:-}" ]; then
    fallocate -l 500m /dev/shm/filler
    finds "shm.space" -n $t
    rm -f /dev/shm/filler
else
    echo "    no /dev/shm of its own: a full one was not planted"
fi
truncate -s 700000 "$(file_of $t)"
finds "segment.corrupt" -n $t
finds "segments.corrupt" -n $s
restore
poke "$(file_of $t)" 24 '\377\377\377\377\377'
finds "segment.corrupt" -n $t
restore
poke "$(file_of $t)" 8 '\143'
finds "segment.build" -n $t
finds "segments.other_build" -n $s
restore
poke "$(file_of $t)" 0 'x'
finds "segment.build" -n $t
restore
cp --sparse=always "$scratch/segment" "$(file_of $t)"
if [ $(($(stat -c %b "$(file_of $t)") * 512)) -lt "$(stat -c %s "$(file_of $t)")" ]; then
    finds "segment.sparse" -n $t
else
    fail "no sparse file could be made"
fi
restore
finds "segment.identity" -n $t -r $url
finds "segment.identity" -n $s -r $url --prefix other
rm -f "$(file_of $t)"

host_start U --memory 524288 $t
for i in 1 2 3 4 5 6; do tell U "set user 0 3400 100" ok; done
finds "segment.small" -n $t
host_end U
rm -f "$(file_of $t)"

# A host that listens on calls and makes none.
host_start V --redis $url --memory 1048576 $t
tell V "set user 0 1 10" ok
until_old() { [ "$("$tool" stat -n $t --json | grep -o '"coherence_age_ms": [0-9]*' | grep -o '[0-9]*')" -gt 300 ]; }
wait_until "the host's news are old" until_old
finds "segment.coherence" -n $t -r $url --max-staleness 300ms
host_end V
rm -f "$(file_of $t)"

# ---- Redis: settings -----------------------------------------------------------------------------------------------------------

redis_cli good CONFIG SET maxmemory-policy noeviction >/dev/null
finds "redis.noeviction" -r $url
redis_cli good CONFIG SET maxmemory-policy allkeys-random >/dev/null
finds "redis.random_eviction" -r $url
redis_cli good CONFIG SET maxmemory-policy volatile-lfu maxmemory 0 >/dev/null
finds "redis.maxmemory" -r $url
redis_cli good CONFIG SET maxmemory 100mb timeout 5 >/dev/null
finds "redis.idle_timeout" -r $url
redis_cli good CONFIG SET timeout 0 min-replicas-to-write 1 >/dev/null
finds "redis.writes" -r $url
says NOREPLICAS
redis_cli good CONFIG SET min-replicas-to-write 0 >/dev/null
redis_cli good CONFIG SET maxmemory 1kb maxmemory-policy noeviction >/dev/null
finds "redis.noeviction redis.writes" -r $url
says 'OOM'
redis_cli good CONFIG SET maxmemory 100mb maxmemory-policy volatile-lfu >/dev/null
finds "" -r $url

redis_start few "${good_settings[@]}" "maxclients 10"
for i in 1 2 3 4 5 6 7 8; do
    redis-cli -s "$scratch/few/s" BLPOP never 60 >/dev/null 2>&1 &
    started="$started $!"
done
all_in() { [ "$(redis_cli few INFO clients | tr -d '\r' | sed -n 's/^blocked_clients://p')" = 8 ]; }
wait_until "eight clients are in" all_in
"$tool" doctor --json -r unix://$scratch/few/s >"$out" 2>/dev/null
json "[c for c in d['checks'] if c['id'] == 'redis.clients'][0]['verdict'] == 'warning'"
planted=$((planted + 1))

redis_start disk "${good_settings[@]}" "save 900 1" "dbfilename no.rdb"
mkdir "$scratch/disk/no.rdb" # a folder where the file should be
redis_cli disk SET a b >/dev/null
redis_cli disk BGSAVE >/dev/null
save_failed() { redis_cli disk INFO persistence | grep -q 'rdb_last_bgsave_status:err'; }
wait_until "a snapshot cannot be written" save_failed
finds "redis.snapshot redis.writes" -r unix://$scratch/disk/s
says MISCONF

redis_start replica "${good_settings[@]}" "replicaof 127.0.0.1 1" "replica-serve-stale-data yes"
finds "redis.replica redis.writes" -r unix://$scratch/replica/s
says READONLY
redis_cli replica CONFIG SET replica-serve-stale-data no >/dev/null
"$tool" doctor --json -r unix://$scratch/replica/s >"$out" 2>/dev/null
json "[c for c in d['checks'] if c['id'] == 'redis.replica'][0]['verdict'] == 'error'"

redis_start cluster "${good_settings[@]}" "port 0" "cluster-enabled yes" "cluster-port 1" 2>/dev/null
if redis_answers "$scratch/cluster"; then
    "$tool" doctor --json -r unix://$scratch/cluster/s >"$out" 2>/dev/null
    json "[c for c in d['checks'] if c['id'] == 'redis.cluster'][0]['verdict'] == 'error'"
    planted=$((planted + 1))
fi

# ---- Redis: who, where, which --------------------------------------------------------------------------------------------------

redis_start secret "requirepass hunter22" "${good_settings[@]}"
finds "redis.login" -r unix://$scratch/secret/s
finds "redis.login" -r unix://:wrong@$scratch/secret/s
finds "" -r unix://:hunter22@$scratch/secret/s
finds "redis.login" -r $url --admin-redis unix://:wrong@$scratch/secret/s
finds "redis.connect" -r unix://$scratch/nobody
finds "redis.connect" -r redis://127.0.0.1:1
finds "redis.url" -r rediss://h
finds "redis.url" -r http://h
finds "redis.url" -r redis://h:99999

all=$(grep -o '+[a-z][a-z]*' <<<"$documented" | sort -u)
[ "$(wc -w <<<"$all")" -ge 20 ] || fail "docs/redis.md's list of commands was not read: $all"
for permission in $all; do
    [ "$permission" = +select ] && continue
    redis_cli good ACL SETUSER less reset $documented "-${permission#+}" >/dev/null
    "$tool" doctor --json -r "unix://less:secret@$scratch/good/s" >"$out" 2>/dev/null
    json "'${permission#+}' in [c for c in d['checks'] if c['id'] == 'redis.acl' and c['verdict'] == 'error'][0]['text'].split()"
done
planted=$((planted + 1))
redis_cli good ACL SETUSER less reset $documented resetkeys '~libcache:*' >/dev/null
finds "redis.acl redis.prefix" -r "unix://less:secret@$scratch/good/s"
redis_cli good ACL SETUSER less reset $documented resetkeys '~{libcache}:*' >/dev/null
finds "redis.acl" -r "unix://less:secret@$scratch/good/s"

# ---- Redis: the log and the metadata -----------------------------------------------------------------------------------------------

redis_cli good SET '{taken}:meta' x >/dev/null
finds "redis.prefix" -r $url --prefix taken
redis_cli good HSET '{odd}:meta' seq 12 >/dev/null
finds "redis.prefix" -r $url --prefix odd
host_start W --redis $url --prefix brief --log-length 100 --memory 1048576 $t
tell W "set user 0 1000 10" ok
tell W poll ok
finds "redis.log_short" -r $url --prefix brief
finds "redis.log_short" -n $t -r $url --prefix brief
host_start X --redis $url --prefix brief --log-length 100 --memory 1048576 $t-x
segments="$segments $t-x"
tell X "set user 0 1000 10" ok
finds "redis.log_short segment.behind" -n $t -r $url --prefix brief --max-staleness 1h
redis_cli good DEL '{brief}:log' >/dev/null
finds "redis.log_gap" -r $url --prefix brief
host_end X
host_end W
rm -f "$(file_of $t)"

# ---- Redis: time ---------------------------------------------------------------------------------------------------------------------

fake() {
    /usr/bin/python3 tests/tool/fake.py "$@" &
    started="$started $!"
    wait_until "$2 is there" test -S "$2"
}
fake slow "$scratch/far" "$scratch/good/s" 20
finds "redis.latency" -r unix://$scratch/far
fake slow "$scratch/slow" "$scratch/good/s" 120
finds "redis.timeouts" -r unix://$scratch/slow --redis-timeout 100ms
fake info "$scratch/old" redis_version:4.0.14 role:master maxmemory:1000000 used_memory:1000 maxmemory_policy:volatile-lru
"$tool" doctor --json -r unix://$scratch/old >"$out" 2>/dev/null
json "[c for c in d['checks'] if c['id'] == 'redis.version'][0]['verdict'] == 'error'"
planted=$((planted + 1))
if ${CC:-gcc} -shared -fPIC -o "$scratch/later.so" tests/tool/later.c 2>"$err"; then
    redis_launcher="env LD_PRELOAD=$scratch/later.so" redis_start later "${good_settings[@]}"
    finds "redis.clock" -r unix://$scratch/later/s
    says 'ahead'
else
    fail "tests/tool/later.c does not compile: $(head -3 "$err")"
fi

# ---- Redis goes away --------------------------------------------------------------------------------------------------------------------

redis_end good
ask S "invalidate tenant:7"
hear S answer
for i in 1 2 3; do tell S "get user 0 50" "0 50"; done
finds "redis.connect segment.owed segment.redis_errors" -n $s -r $url --max-staleness 1h
host_end S

# ---- Every id is in the documentation ----------------------------------------------------------------------------------------------------

ids=$(grep -oh '"\(shm\|host\|segments\|segment\|redis\)\.[a-z_]*"' tools/libcache/doctor*.c | tr -d '"' | sort -u)
for id in $ids; do
    grep -q "\`$id\`" docs/tool.md || fail "docs/tool.md lacks $id"
done
[ $planted -ge 25 ] || fail "only $planted faults were planted"
echo "    $planted faults planted"
finish "doctor"
