#!/usr/bin/env python3
"""The Python module beside dict, cachetools, pickle and redis-py, in one process and one run.

    bench_core.py [--quick] [--json] [--path FOLDER]     FOLDER: where the built package lies, if it is not installed

--json: a line for each figure, for bench/report.py; what is aimed at goes to standard error then.

Contestants of a table take turns, round by round, so that what else the machine does hits them alike; the figure is the median of the
rounds. Lines end in what is aimed at and whether it was reached; the exit status does not depend on it. The tables of Redis are taken with
client and server on one core, which makes a round trip shortest and everybody's own share of it largest (--cores: as the system likes).
"""

import argparse
import asyncio
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("--quick", action="store_true", help="fewer rounds")
arguments.add_argument("--json", action="store_true", help="lines of JSON")
arguments.add_argument("--path")
arguments.add_argument("--cores", action="store_true", help="do not bind the Redis part to one core")
options = arguments.parse_args()
if options.path:
    sys.path.insert(0, options.path)

import libcache  # noqa: E402

SAYS = sys.stderr if options.json else sys.stdout
ROUNDS = 5 if options.quick else 21
clock = time.perf_counter_ns


def repeat(call, argument, n):
    """Nanoseconds a call."""
    begin = clock()
    for _ in range(n):
        call(argument)
    return (clock() - begin) / n


def compare(title, contestants, rounds=ROUNDS):
    """{name: function that gives ns of one call}: medians, taken in turns."""
    samples = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            samples[name].append(measure())
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"\n{title}", file=SAYS)
    for name, median in medians.items():
        print(f"    {name:34} {median:12,.0f} ns {1e9 / median:14,.0f} /s", file=SAYS)
        if options.json:
            print(json.dumps({"bench": f"python, {title}", "engine": name, "ns": round(median, 1)}))
    return medians


def aim(what, ratio, most):
    print(f"    {what:48} {ratio:6.2f}   aim {most}: {'reached' if ratio <= most else 'MISSED'}", file=SAYS)


ROW = {
    "id": 4711, "email": "ada.lovelace@example.org", "name": "Ada Lovelace", "active": True, "balance": 1234.56,
    "roles": ["admin", "editor", "author"], "organization": {"id": 17, "name": "Analytical Engines", "plan": "pro"},
    "settings": {"theme": "dark", "language": "en", "notifications": {"mail": True, "push": False}},
}  # fmt: skip
ROWS = json.loads(json.dumps([dict(ROW, id=i, email=f"user{i}@example.org", name=f"User {i}") for i in range(50)]))  # nothing shared but keys


def hits():
    cache = libcache.Cache(memory_bytes=64 << 20)
    ns = cache.namespace("bench", ttl=3600)
    value = b"x" * 100
    plain = {}
    for i in range(1000):
        plain[f"key:{i}"] = value
        ns.set(f"key:{i}", value)
    key, n = "key:500", 20_000
    contestants = {
        "dict.get": lambda: repeat(plain.get, key, n),
        "ns.get, 100 bytes": lambda: repeat(ns.get, key, n),
    }
    try:
        from cachetools import TTLCache

        other = TTLCache(10_000, 3600)
        other.update(plain)
        contestants["cachetools.TTLCache[]"] = lambda: repeat(other.__getitem__, key, n)
    except ImportError:
        print("skipped: cachetools is not installed", file=SAYS)

    async def awaited():
        get = ns.aio.get
        begin = clock()
        for _ in range(n):
            await get(key)
        return (clock() - begin) / n

    contestants["await ns.aio.get, 100 bytes"] = lambda: asyncio.run(awaited())
    medians = compare("A hit in memory", contestants)
    aim("ns.get : dict.get", medians["ns.get, 100 bytes"] / medians["dict.get"], 3)
    if "cachetools.TTLCache[]" in medians:
        aim("ns.get : cachetools.TTLCache[]", medians["ns.get, 100 bytes"] / medians["cachetools.TTLCache[]"], 1)


def rows():
    cache = libcache.Cache(memory_bytes=64 << 20)
    ns = cache.namespace("bench", ttl=3600)
    memo = cache.namespace("memo", ttl=3600, memo=1000)
    for what, value, n in (("row", ROW, 5000), ("50 rows", ROWS, 200)):
        ns.set(what, value)
        memo.set(what, value)
        pickled = pickle.dumps(value, 5)
        medians = compare(
            f"{what}, decoded from memory ({len(libcache._core.pack(value))} bytes, pickled {len(pickled)})",
            {
                "pickle.loads": lambda pickled=pickled, n=n: repeat(pickle.loads, pickled, n),
                "ns.get": lambda what=what, n=n: repeat(ns.get, what, n),
                "ns.get, memo": lambda what=what, n=n: repeat(memo.get, what, n),
            },
        )
        aim(f"ns.get : pickle.loads, {what}", medians["ns.get"] / medians["pickle.loads"], 0.8)


class Redis:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="libcache-bench-")
        self.socket = f"{self.folder}/redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no", "--dir", self.folder],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            if Path(self.socket).exists():
                return self
            time.sleep(0.01)
        raise SystemExit("redis-server does not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def remote(server):
    import redis
    import redis.asyncio

    value, n = b"x" * 100, 500
    writer = libcache.Cache(f"unix://{server.socket}")
    # Without the first tier, every get goes to Redis.
    cache = libcache.Cache(f"unix://{server.socket}")
    ns = cache.namespace("bench", ttl=3600, tiers=2)
    fill = writer.namespace("bench", ttl=3600, tiers=2)
    plain = redis.Redis(unix_socket_path=server.socket)
    for i in range(n):
        fill.set(f"k{i}", value)
        plain.set(f"k{i}", value)
    keys = [f"k{i}" for i in range(n)]

    def each(get):
        begin = clock()
        for key in keys:
            assert get(key) is not None
        return (clock() - begin) / n

    medians = compare(
        "A get from Redis, sync", {"redis-py": lambda: each(plain.get), "ns.get": lambda: each(ns.get)}
    )
    aim("ns.get : redis-py", medians["ns.get"] / medians["redis-py"], 0.6)

    async def in_one_loop(title):
        other = redis.asyncio.Redis(unix_socket_path=server.socket)

        async def one_by_one(get):
            begin = clock()
            for key in keys:
                assert await get(key) is not None
            return (clock() - begin) / n

        async def at_once(get):
            begin = clock()
            for start in range(0, n, 100):
                for found in await asyncio.gather(*[get(key) for key in keys[start : start + 100]]):
                    assert found is not None
            return (clock() - begin) / n

        for name, way, what, most in (
            ("one by one", one_by_one, "time of one, ns.aio.get : redis.asyncio", 0.7),
            ("100 at once (gather)", at_once, "time of 100 at once, ns.aio.get : redis.asyncio", 0.2),
        ):
            samples = {"redis.asyncio": [], "ns.aio.get": []}
            for _ in range(ROUNDS):
                samples["redis.asyncio"].append(await way(other.get))
                samples["ns.aio.get"].append(await way(ns.aio.get))
            medians = compare(
                f"Gets from Redis, {title}, {name}", {k: lambda v=v: statistics.median(v) for k, v in samples.items()}, 1
            )
            aim(what, medians["ns.aio.get"] / medians["redis.asyncio"], most)
        await other.close()

    asyncio.run(in_one_loop("asyncio"))
    try:
        import uvloop
    except ImportError:
        print("skipped: uvloop is not installed", file=SAYS)
        return
    loop = uvloop.new_event_loop()
    loop.run_until_complete(in_one_loop("uvloop"))
    loop.close()


print(f"Python {sys.version.split()[0]}, libcache {libcache.__version__}; ns a call, medians of {ROUNDS} rounds taken in turns", file=SAYS)
hits()
rows()
if not shutil.which("redis-server"):
    print("skipped: there is no redis-server", file=SAYS)
else:
    try:
        import redis.asyncio  # noqa: F401
    except ImportError:
        print("skipped: python3-redis is not installed", file=SAYS)
    else:
        if not options.cores:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        with Redis() as running:
            remote(running)
