"""Hits of decorated functions, beside what else is used for that: cachetools, functools.lru_cache, a bare call.

    python bench/python/bench_decorator.py [--quick] [--json]

--json: a line for each figure, for bench/report.py, instead of tables.

All are measured in one run, in turns, and the median of the turns counts; it is processor time, so that a busy machine disturbs less. The
last lines say whether what must be reached is reached, and so does the exit status.
"""

import argparse
import asyncio
import functools
import json
import statistics
import sys
import threading
import time

import libcache

TEXT = "x" * 100
ROW = {
    "id": 42, "name": "Ada", "email": "ada@example.org", "active": True, "score": 1.5, "tags": ["a", "b"],
    "org": {"id": 7, "name": "x"}, "n": None,
}  # fmt: skip
MUST = (
    ("decorated sync hit, int argument", "libcache", "cachetools.cached(TTLCache, lock)", 0.6),
    ("decorated async hit, int argument", "libcache", "bare coroutine", 2.0),
)


def make(cache, value):
    """name -> function, by group. All take one int."""
    ns = cache.namespace("bench", ttl=300)

    def function(number):
        return value

    async def coroutine(number):
        return value

    kind = type(value).__name__
    sync = {"bare function": function, "functools.lru_cache": functools.lru_cache(maxsize=1000)(function)}
    try:
        import cachetools

        sync["cachetools.cached(TTLCache, lock)"] = cachetools.cached(cachetools.TTLCache(1000, 300), lock=threading.Lock())(function)
    except ImportError:
        print("cachetools is not there: not compared with", file=sys.stderr)
    sync["libcache"] = ns.cached(name=f"sync-{kind}")(function)
    sync["libcache, memo="] = ns.cached(name=f"memo-{kind}", memo=100)(function)
    sync["libcache, two tags"] = ns.cached(name=f"tags-{kind}", tags=["a:{number}", "b"])(function)
    sync["libcache, refresh="] = ns.cached(name=f"refresh-{kind}", refresh=100)(function)
    sync["libcache, key template"] = ns.cached(name=f"template-{kind}", key=f"{kind}:{{number}}")(function)

    async def written_by_hand(number):
        found = ns.get(key % number, libcache.MISSING)
        return found if found is not libcache.MISSING else await coroutine(number)

    key = f"{kind}/%d"
    ns.set(key % 42, value)
    asynchronous = {
        "bare coroutine": coroutine,
        "libcache": ns.cached(name=f"async-{kind}")(coroutine),
        "libcache, memo=": ns.cached(name=f"async-memo-{kind}", memo=100)(coroutine),
        "ns.get in an async def": written_by_hand,
    }
    return sync, asynchronous


def time_sync(function, calls):
    function(42)
    begun = time.thread_time()
    for _ in range(calls):
        function(42)
    return (time.thread_time() - begun) / calls


async def time_async(function, calls):
    await function(42)
    begun = time.thread_time()
    for _ in range(calls):
        await function(42)
    return (time.thread_time() - begun) / calls


def medians(functions, measure, calls, turns):
    times = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            times[name].append(measure(function, calls))
    return {name: statistics.median(found) * 1e9 for name, found in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some seconds only")
    parser.add_argument("--json", action="store_true", help="lines of JSON")
    options = parser.parse_args()
    calls, turns = (20_000, 5) if options.quick else (100_000, 11)
    found = {}
    with libcache.Cache(memory_bytes=32 << 20) as cache, asyncio.Runner() as runner:
        for title, value in (("100 characters", TEXT), ("a row of 8 fields", ROW)):
            sync, asynchronous = make(cache, value)
            for kind, functions, measure in (
                ("sync", sync, time_sync),
                ("async", asynchronous, lambda function, n: runner.run(time_async(function, n))),
            ):
                figures = medians(functions, measure, calls, turns)
                found.setdefault(kind, figures)
                if options.json:
                    for name, ns in figures.items():
                        print(json.dumps({"bench": f"python decorated {kind} hit, {title}", "engine": name, "ns": round(ns, 1)}))
                    continue
                print(f"\ndecorated {kind} hit, {title}: ns a call")
                for name, ns in figures.items():
                    print(f"    {name:36}{ns:8.0f}")
    failed = False
    for title, ours, theirs, most in MUST:
        figures = found["sync" if "sync hit" in title and "async" not in title else "async"]
        if theirs not in figures:
            continue
        ratio = figures[ours] / figures[theirs]
        failed |= ratio > most
        print(f"{title}: {ratio:.2f} x {theirs}; must be <= {most:g}: {'reached' if ratio <= most else 'MISSED'}",
              file=sys.stderr if options.json else sys.stdout)  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
