#!/usr/bin/env bash
# The Python module beside dict, cachetools, pickle and redis-py: calls, decorated functions, a whole service. SPDX-License-Identifier: MIT
#
#   bench/python/run.sh [--quick] [--json]
#
# PYTHON (default /usr/bin/python3) runs them, BUILD (default build) is where the module is built. What a benchmark compares with and
# is not installed is left out, and that is said. Exit status: whether all could be measured.
set -u
cd "$(dirname "$0")/../.." || exit 1

python=${PYTHON:-/usr/bin/python3}
out=${BUILD:-build}/python/release
case $out in /*) ;; *) out=$PWD/$out ;; esac
${MAKE:-make} --no-print-directory -s BUILD="${BUILD:-build}" python >&2 || exit 1
export PYTHONPATH=$out/lib

failed=0
"$python" bench/python/bench_core.py "$@" || failed=1
"$python" bench/python/bench_decorator.py "$@"
[ $? -le 1 ] || failed=1 # 1: something was missed, and said so
if "$python" -c 'import fastapi, sqlalchemy, gunicorn, uvicorn, redis' 2>/dev/null && command -v redis-server >/dev/null; then
    "$python" bench/python/bench_service.py "$@" || failed=1
else
    echo "skipped: the service wants fastapi, sqlalchemy, gunicorn, uvicorn, redis-py and redis-server" >&2
fi
exit $failed
