# What tool.sh and tool_doctor.sh share: expectations, hosts, redis-servers of their own. Sourced. SPDX-License-Identifier: MIT

tool=${1:?usage: $0 TOOL TOOL-HOST} host=${2:?usage: $0 TOOL TOOL-HOST}
scratch=$(mktemp -d) || exit 1
out=$scratch/out err=$scratch/err
failed=0 checks=0 started='' segments='' servers=''
unset LIBCACHE_SEGMENT LIBCACHE_REDIS_URL LIBCACHE_REDIS_PREFIX LIBCACHE_IDENTITY LIBCACHE_POLICY_FILE LIBCACHE_REDIS_ADMIN_URL

clean_up() {
    local pid name
    exec 2>/dev/null # bash tells of each job that was killed
    for pid in $started; do kill -KILL "$pid"; done
    for name in $servers; do redis_end "$name"; done
    for name in $segments; do rm -f "/dev/shm/libcache-$(id -u)-$name"; done
    wait 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT

fail() {
    echo "${0##*/}: line ${BASH_LINENO[${depth:-0}]}: $*"
    failed=1
}
finish() { # name
    [ $failed -eq 0 ] && echo "$1: $checks expectations met"
    exit $failed
}

# Runs a command that must end with this status; what it printed is in $out and $err.
wants() { # status, command...
    local status wanted=$1 depth=${depth:-1}
    shift
    checks=$((checks + 1))
    "$@" >"$out" 2>"$err"
    status=$?
    [ $status -eq "$wanted" ] || fail "status $status instead of $wanted: $*: $(head -c 300 "$err")"
}
# ... and says so on standard error.
complains() { # status, expression, command...
    local expression=$2 depth=2
    wants "$1" "${@:3}" </dev/null
    depth=1
    grep -qe "$expression" "$err" || fail "'${*:3}' does not say '$expression': $(head -c 300 "$err")"
    grep -q '^libcache: ' "$err" || fail "'${*:3}' does not begin with 'libcache: '"
}

python() { # statements
    scratch=$scratch out=$out /usr/bin/python3 -c "import base64, json, os
scratch = os.environ['scratch']
$1" 2>"$scratch/python" || depth=1 fail "$(tail -1 "$scratch/python")"
}
json() { # an expression about d, the JSON document that was printed last
    checks=$((checks + 1))
    scratch=$scratch out=$out /usr/bin/python3 -c "import base64, json, os
scratch = os.environ['scratch']
d = json.load(open(os.environ['out']))
assert $1, str(d)[:600]" 2>"$scratch/python" || depth=1 fail "$1: $(tail -1 "$scratch/python" | head -c 900)"
}

# A condition that must come true within 20 s.
wait_until() { # what, command...
    local what=$1 i
    shift
    for ((i = 0; i < 2000; i++)); do
        "$@" && return
        sleep 0.01
    done
    depth=1 fail "this did not come true: $what"
}
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
until_lines() { wait_until "$1 has $2 lines" has_lines "$1" "$2"; }

# ---- Hosts: tool-host processes, told by a pipe ----------------------------------------------------------------------

declare -A to from pid_of
host_start() { # letter, arguments...
    local letter=$1 answer in out_fd
    shift
    mkfifo "$scratch/$letter.in" "$scratch/$letter.out"
    "$host" "$@" <"$scratch/$letter.in" >"$scratch/$letter.out" &
    pid_of[$letter]=$!
    started="$started $!"
    exec {in}>"$scratch/$letter.in" {out_fd}<"$scratch/$letter.out"
    rm "$scratch/$letter.in" "$scratch/$letter.out"
    to[$letter]=$in from[$letter]=$out_fd
    hear "$letter" answer
    [ "$answer" = open ] || fail "host $letter: $answer"
}
ask() { echo "$2" >&"${to[$1]}"; }
hear() { # letter, variable
    read -r -t 20 "$2" <&"${from[$1]}" || fail "host $1 says nothing"
}
tell() { # letter, what, the answer wanted
    local answer='' depth=1
    checks=$((checks + 1))
    ask "$1" "$2"
    hear "$1" answer
    [ "$answer" = "$3" ] || fail "host $1, '$2': '$answer' instead of '$3'"
}
host_end() { # letter
    local in=${to[$1]} out_fd=${from[$1]}
    ask "$1" quit # later processes have its pipe open, too: it would not see its end
    exec {in}>&- {out_fd}<&-
    wait "${pid_of[$1]}"
}

# ---- redis-servers -----------------------------------------------------------------------------------------------------

redis_start() { # name, lines of redis.conf...
    local name=$1 folder=$scratch/$1
    shift
    mkdir "$folder"
    printf '%s\n' "port 0" "unixsocket $folder/s" "dir $folder" 'save ""' "appendonly no" "daemonize no" "$@" >"$folder/conf"
    (cd "$folder" && exec setpriv --pdeathsig KILL ${redis_launcher:-} redis-server conf >log 2>&1) &
    echo $! >"$folder/pid"
    servers="$servers $name"
    wait_until "redis-server $name answers" redis_answers "$folder"
}
redis_answers() { redis-cli -s "$1/s" PING 2>&1 | grep -qE 'PONG|NOAUTH|LOADING'; }
redis_cli() { # name, words
    local name=$1
    shift
    redis-cli --no-auth-warning -s "$scratch/$name/s" "$@"
}
redis_end() { # name
    local pid
    [ -f "$scratch/$1/pid" ] || return 0
    pid=$(cat "$scratch/$1/pid")
    rm -f "$scratch/$1/pid"
    kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    return 0
}
