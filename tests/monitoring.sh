#!/usr/bin/env bash
# Alert rules and dashboard (docs/monitoring), as Prometheus understands them:
#   - promtool's checks, and what each rule says of a host with every trouble and of one without (tests/monitoring/alerts_test.yml);
#   - a Prometheus of its own on loopback reads what `libcache metrics` serves of two hosts: every expression of the dashboard must
#     give an answer, with the labels that its legend names, and every rule must be evaluated without an error.
# Without Prometheus (Debian's package prometheus) there is nothing to ask: it says so and ends with 0.
#
#   tests/monitoring.sh TOOL TOOL-HOST      (make print-tool)
set -u
cd "$(dirname "$0")/.." || exit 1
source tests/tool/support.sh

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
    echo "monitoring: skipped, prometheus is not installed"
    exit 0
fi

wants 0 promtool check rules docs/monitoring/alerts.yml
wants 0 promtool test rules tests/monitoring/alerts_test.yml
[ $failed -eq 0 ] || cat "$out" "$err"

redis_start main
url=unix://$scratch/main/s
a=monitoring-a-$$ b=monitoring-b-$$
segments="$a $b"
host_start A --memory 4194304 --redis "$url" --thread $a
host_start B --memory 4194304 --redis "$url" --thread $b

serve() { # segment, variable that gets its address
    : >"$scratch/$1.err"
    "$tool" metrics -n "$1" --listen 0 2>>"$scratch/$1.err" &
    started="$started $!"
    until_lines "$scratch/$1.err" 1
    declare -g "$2=$(sed -n 's|^serving http://\(.*\)/metrics$|\1|p' "$scratch/$1.err")"
}
serve $a address_a
serve $b address_b

cat >"$scratch/prometheus.yml" <<YAML
global: { scrape_interval: 250ms, evaluation_interval: 500ms }
rule_files: [$PWD/docs/monitoring/alerts.yml]
scrape_configs:
  - { job_name: libcache, honor_labels: true, static_configs: [{ targets: ["$address_a", "$address_b"] }] }
YAML
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
setpriv --pdeathsig KILL prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/tsdb" \
    --web.listen-address="127.0.0.1:$port" >"$scratch/prometheus.log" 2>&1 &
started="$started $!"

# Traffic of each kind, until there is enough.
traffic() {
    local n=0
    while :; do
        for host in A B; do
            tell $host "set catalog $((n * 100)) 100 5000 tenant:7" ok
            tell $host "load user $host$n 5" ok
            tell $host "fenced user f$n tenant:8" fenced
            tell $host "delete catalog $((n * 100)) 5" ok
            ask $host "busy 0.1 user"
            hear $host answer
            ask $host "get catalog $(((n - 3) * 100)) 100"
            hear $host answer
        done
        n=$((n + 1))
        [ -e "$scratch/enough" ] && break
    done
    [ $failed -eq 0 ]
}
traffic &
busy=$!
started="$started $busy"
checks=$((checks + 1))
timeout 60 /usr/bin/python3 tests/monitoring/expressions.py "http://127.0.0.1:$port" 2 ||
    fail "expressions: $(tail -3 "$scratch/prometheus.log")"
touch "$scratch/enough"
wait $busy || fail "the traffic"
host_end A
host_end B
finish monitoring
