#!/usr/bin/env bash
# Builds the Python module in a folder of its own and runs its tests.
#
#   run-tests.sh            all: build, types, tests, AddressSanitizer, sdist and pip, an installed libcache
#   run-tests.sh quick      build, types, tests
#   run-tests.sh build      build only
#
# PYTHON (default /usr/bin/python3) builds and runs; BUILD (default: build in the repository) is where all goes. What cannot be done here is
# said, and is no failure: a step whose tools are there is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 1

python=${PYTHON:-/usr/bin/python3}
case ${BUILD:-build} in /*) out=$BUILD/python ;; *) out=$root/${BUILD:-build}/python ;; esac
mode=${1:-all}
export PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=$out/hypothesis
unset PYTHONPATH

skip() { echo "    skipped: $*"; }
fail() { echo "    FAILED: $*"; exit 1; }
has() { "$python" -c "import $1" 2>/dev/null; }

[ -x "$python" ] || { skip "there is no $python"; exit 0; }
has setuptools || { skip "setuptools is not installed (python3-setuptools)"; exit 0; }
[ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
    { skip "the headers of $python are not installed (python3-dev)"; exit 0; }
mkdir -p "$out"

# Into $out/NAME/lib; what goes to the compiler is in CFLAGS.
build() { # name
    mkdir -p "$out/$1"
    (cd "$here" && LIBCACHE_WERROR=1 "$python" -W ignore setup.py -q build_ext --build-lib "$out/$1/lib" --build-temp "$out/$1/tmp") \
        >"$out/$1/log" 2>&1 || { cat "$out/$1/log"; return 1; }
    rm -f "$out/$1/lib/libcache/"*.py
    cp "$here"/libcache/*.py "$here"/libcache/*.pyi "$here/libcache/py.typed" "$out/$1/lib/libcache/"
}

# pytest on the package in $out/NAME/lib.
run_pytest() { # name, arguments...
    local lib=$out/$1/lib
    shift
    (cd "$here/tests" && PYTHONPATH=$lib timeout 300 "$python" -X faulthandler -m pytest -q -p no:cacheprovider \
        -o faulthandler_timeout=60 "$@")
}

echo "--- build"
CFLAGS="${CFLAGS:-} -O2 -g" build release || fail build
[ "$mode" != build ] || exit 0

echo "--- types"
if has mypy; then
    "$python" -m mypy --config-file "$here/pyproject.toml" --cache-dir "$out/mypy" "$out/release/lib/libcache" || fail "mypy"
    # Whether the stub says what the module has.
    if has mypy.stubtest; then
        (cd "$out" && MYPYPATH=$out/release/lib PYTHONPATH=$out/release/lib "$python" -m mypy.stubtest --concise libcache._core \
            --ignore-missing-stub --allowlist "$here/tests/stubtest.txt") || fail "stubtest"
    fi
else
    skip "mypy is not installed"
fi

echo "--- tests"
has pytest || { skip "pytest is not installed (python3-pytest)"; exit 0; }
for module in hypothesis pytest_asyncio redis uvloop msgpack pydantic fastapi; do
    has "$module" || echo "    without $module: its tests are skipped"
done
command -v redis-server >/dev/null || echo "    without redis-server: its tests are skipped"
ignored=()
has hypothesis || ignored+=(--ignore=test_values.py --ignore=test_model.py --ignore=test_keys.py)
has pytest_asyncio || ignored+=(--ignore=test_async.py --ignore=test_decorator_async.py --ignore=test_servers.py --ignore=test_example.py
    --ignore=test_reentry.py)
run_pytest release "${ignored[@]}" || fail tests

[ "$mode" = all ] || exit 0

echo "--- AddressSanitizer"
asan=$(gcc -print-file-name=libasan.so 2>/dev/null)
if [ -e "$asan" ]; then
    CFLAGS="${CFLAGS:-} -O1 -g -fno-omit-frame-pointer -fsanitize=address" build asan || fail "build with AddressSanitizer"
    LD_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1 PYTHONMALLOC=malloc \
        LIBCACHE_TEST_EXAMPLES=8 run_pytest asan "${ignored[@]}" test_values.py test_cache.py test_codecs.py test_async.py test_model.py \
        test_keys.py test_decorator.py test_decorator_loads.py test_decorator_async.py test_decorator_redis.py test_fastapi.py \
        test_responses.py test_reentry.py \
        -k "not claim_takes_no_memory" || fail "AddressSanitizer"
else
    skip "there is no libasan"
fi

echo "--- sdist, and pip"
if has pip && has wheel; then
    rm -rf "$out/dist" "$out/installed" "$out/unpacked"
    mkdir -p "$out/unpacked" "$out/dist-info"
    (cd "$here" && "$python" -W ignore setup.py -q egg_info --egg-base "$out/dist-info" sdist --dist-dir "$out/dist") \
        >"$out/sdist.log" 2>&1 || { cat "$out/sdist.log"; fail sdist; }
    tar -xzf "$out"/dist/libcache-*.tar.gz -C "$out/unpacked" || fail "sdist"
    # Away from the repository: all that it needs must be in it.
    (cd "$out/unpacked"/libcache-* && CFLAGS="-O1" "$python" -m pip -q install --no-build-isolation --no-index --no-deps --disable-pip-version-check \
        --root-user-action=ignore --target "$out/installed" .) >"$out/pip.log" 2>&1 || { cat "$out/pip.log"; fail "pip install"; }
    (cd / && PYTHONPATH=$out/installed "$python" -c 'import libcache; c = libcache.Cache(); n = c.namespace("n"); n.set("k", [1]); assert n["k"] == [1]') ||
        fail "what pip has installed"
else
    skip "pip or wheel is not installed (python3-pip, python3-wheel)"
fi

echo "--- an installed libcache"
if command -v pkg-config >/dev/null; then
    ${MAKE:-make} --no-print-directory -s BUILD="${BUILD:-build}" install PREFIX="$out/prefix" >"$out/install.log" 2>&1 || { cat "$out/install.log"; fail "make install"; }
    PKG_CONFIG_PATH=$out/prefix/lib/pkgconfig LIBCACHE_SYSTEM=1 CFLAGS="${CFLAGS:-} -O1" build system || fail "build with an installed libcache"
    ldd "$out"/system/lib/libcache/_core*.so | grep -q 'libcache\.so' || fail "it is not linked to the installed libcache"
    LD_LIBRARY_PATH=$out/prefix/lib run_pytest system test_cache.py || fail "tests with an installed libcache"
else
    skip "there is no pkg-config"
fi
