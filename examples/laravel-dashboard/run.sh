#!/usr/bin/env bash
# Serves the dashboard with nginx and php-fpm, three times: without a cache, with Laravel's redis store, with libcache.
# Then asks for pages and prints how long they took. Everything is private, on loopback, and is stopped at the end.
#
#   examples/laravel-dashboard/run.sh [--quick] [--serve]
#
#   --quick   fewer requests
#   --serve   does not measure: says where the pages are and waits for Enter
#
# LIBCACHE_EXTENSION says where libcache.so is (default: what bindings/php/build.sh makes).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
extension=${LIBCACHE_EXTENSION:-$here/../../build/php/release/modules/libcache.so}
quick= serve=
for argument; do
    case $argument in
    --quick) quick=--quick ;;
    --serve) serve=1 ;;
    *) echo "usage: run.sh [--quick] [--serve]" >&2; exit 2 ;;
    esac
done

fpm=$(command -v php-fpm || command -v php-fpm8.2 || ls /usr/sbin/php-fpm* 2>/dev/null | head -1 || true)
for tool in redis-server nginx php "${fpm:-php-fpm}"; do
    command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || { echo "$tool is missing: tools/deps.sh php" >&2; exit 3; }
done
[ -f "$extension" ] || { echo "there is no $extension: build the PHP extension first" >&2; exit 3; }
extension=$(realpath "$extension")

state=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    php -d extension="$extension" -r "Libcache\\Cache::removeSegment('$segment');" 2>/dev/null || true
    rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT TERM

free_ports() { # so many ports that nobody listens on
    php -r 'for ($i = 0; $i < $argv[1]; $i++) {
        $s[] = stream_socket_server("tcp://127.0.0.1:0");
        echo substr(strrchr(stream_socket_get_name($s[$i], false), ":"), 1), " ";
    }' "$1"
}
read -r redis none_port redis_port libcache_port <<<"$(free_ports 4)"
segment=laravel-dashboard-$$

export APP_STORAGE=$state/storage DB_DATABASE=$state/database.sqlite REDIS_PORT=$redis LIBCACHE_NAME=$segment
mkdir -p "$state"/{storage,logs,nginx}
: > "$DB_DATABASE"

redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$state" >"$state/logs/redis" 2>&1 &
pids+=($!)

# ---- the application: its database, and its configuration and routes cached as in production, once for each store
artisan() {
    local store=$1
    shift
    env CACHE_DRIVER="$store" APP_CONFIG_CACHE="$state/$store-config.php" APP_ROUTES_CACHE="$state/$store-routes.php" \
        APP_PACKAGES_CACHE="$state/packages.php" APP_SERVICES_CACHE="$state/services.php" APP_EVENTS_CACHE="$state/events.php" \
        php -d extension="$extension" -d error_reporting=24575 "$here/artisan" "$@"
}
artisan none migrate --force >/dev/null
artisan none tenants:seed ${quick:+--backups=500}
php -r '(new PDO("sqlite:" . $argv[1]))->exec("pragma journal_mode = wal");' "$DB_DATABASE"
for store in none redis libcache; do
    artisan "$store" config:cache >/dev/null
    artisan "$store" route:cache >/dev/null
done

# ---- php-fpm: a pool of four workers for each store
{
    printf '[global]\nerror_log = %s/logs/fpm\ndaemonize = no\n' "$state"
    for store in none redis libcache; do
        printf '[%s]\nlisten = %s/%s.sock\npm = static\npm.max_children = 4\ncatch_workers_output = yes\n' "$store" "$state" "$store"
        [ "$(id -u)" != 0 ] || printf 'user = root\ngroup = root\n'
        printf 'php_admin_value[error_reporting] = 24575\n'
        for setting in CACHE_DRIVER="$store" APP_CONFIG_CACHE="$state/$store-config.php" APP_ROUTES_CACHE="$state/$store-routes.php" \
            APP_PACKAGES_CACHE="$state/packages.php" APP_SERVICES_CACHE="$state/services.php" APP_EVENTS_CACHE="$state/events.php" \
            APP_STORAGE="$APP_STORAGE" DB_DATABASE="$DB_DATABASE" REDIS_PORT="$REDIS_PORT" LIBCACHE_NAME="$LIBCACHE_NAME"; do
            printf 'env[%s] = "%s"\n' "${setting%%=*}" "${setting#*=}"
        done
    done
} > "$state/fpm.conf"
as_root=
[ "$(id -u)" != 0 ] || as_root=-R
"$fpm" $as_root -d extension="$extension" -y "$state/fpm.conf" >>"$state/logs/fpm" 2>&1 &
pids+=($!)

# ---- nginx: a port for each store
{
    [ "$(id -u)" != 0 ] || echo 'user root;'
    cat <<CONF
daemon off;
pid $state/nginx/pid;
error_log $state/logs/nginx;
worker_processes 2;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $state/nginx/body;
    proxy_temp_path $state/nginx/proxy;
    fastcgi_temp_path $state/nginx/fastcgi;
    uwsgi_temp_path $state/nginx/uwsgi;
    scgi_temp_path $state/nginx/scgi;
    keepalive_requests 1000000;
CONF
    for server in none:$none_port redis:$redis_port libcache:$libcache_port; do
        cat <<CONF
    server {
        listen 127.0.0.1:${server#*:};
        location / {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $here/public/index.php;
            fastcgi_pass unix:$state/${server%:*}.sock;
        }
    }
CONF
    done
    echo '}'
} > "$state/nginx.conf"
"$(command -v nginx || echo /usr/sbin/nginx)" -c "$state/nginx.conf" 2>>"$state/logs/nginx" &
pids+=($!)

if [ -n "$serve" ]; then
    echo "without a cache:        http://127.0.0.1:$none_port/tenants/1/dashboard"
    echo "Laravel's redis store:  http://127.0.0.1:$redis_port/tenants/1/dashboard"
    echo "libcache:               http://127.0.0.1:$libcache_port/tenants/1/dashboard  (and /ready, /metrics)"
    read -r -p 'Enter ends it. ' _
    exit 0
fi

php "$here/measure.php" $quick --none="$none_port" --redis="$redis_port" --libcache="$libcache_port" || {
    cat "$state"/logs/* "$state"/storage/*.log 2>/dev/null | tail -40 >&2
    exit 1
}

artisan libcache libcache:warm
artisan libcache libcache:stats | grep -E ' (entries|live_bytes|memory_bytes|position) '
