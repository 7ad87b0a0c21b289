"""Nothing is kept: neither objects nor memory grow over many turns of each call. In a debug build of Python references are counted too."""

import asyncio
import gc
import sys

import pytest

import libcache

VALUE = {"a": [1, 2.5, (None, True)], "b": {"c": b"x" * 2000}, "s": {1, 2}, "big": 2**70}


class Echo:
    def encode(self, value):
        return value, 200

    def decode(self, data, codec):
        return bytes(data)


def ignore(call, *args, **keywords):
    try:
        call(*args, **keywords)
    except (Exception, StopIteration):
        pass


def turn_of_values():
    for value in (VALUE, b"x", "x", 5, None):
        data, codec = libcache._core.encode(value)
        libcache._core.decode(data, codec)
        libcache._core.unpack(libcache._core.pack(value))
    ignore(libcache._core.pack, [object()])
    ignore(libcache._core.unpack, b"\x92\x01")
    ignore(libcache._core.unpack, b"\x82\xa1a\x01\x90\x01")
    ignore(libcache._core.unpack, b"\xc7\x03\x01\x92\x01")


def turns_of_a_namespace():
    cache = libcache.Cache(memory_bytes=1 << 20)
    spaces = [cache.namespace("plain"), cache.namespace("memo", memo=10), cache.namespace("codec", codec=Echo())]

    def turn():
        for ns in spaces[:2]:
            ns.set("key", VALUE, 5, ["a", "b"])
            ns.get("key")
            ns.get("key")
            ns.get("absent", VALUE)
            ns.lookup("key")
            ns.get_many(["key", "absent"])
            ns.set_many({"x": VALUE, "y": 1}, tags=["t"])
            ns.delete_many(["x", "y"])
            ns.incr("n")
            ns.get_or_load("loaded", lambda: VALUE)
            ns.delete("loaded")
            ignore(ns.get_or_load, "failed", lambda: 1 / 0)
            ignore(ns.set, "key", object(), 5, ["a"])
            ignore(ns.set, "key", 1, tags=[1])
            ignore(ns.set_many, {"x": 1, "y": object()})
            ns.begin("dropped")
            "key" in ns
            ns.policy()
            ns.aio.get("key").close()
            del ns["key"]
        spaces[2].set("key", b"x")
        spaces[2].get("key")
        cache.stats()
        list(cache.entries())
        cache.invalidate("a", "t")
        with cache.lock("lock", 5):
            cache.rate_hit("rate", 5, 5)
        ignore(libcache.Cache, bogus=1)
        ignore(cache.namespace, "x", ttl="x")
        cache.clear()

    return turn


def turns_of_a_loop(server):
    cache = server.cache()
    ns = cache.namespace("test", ttl=100)

    async def all_calls():
        await asyncio.gather(*[ns.aio.set(f"k{i}", VALUE, 50, ["t"]) for i in range(5)])
        await cache.aio.invalidate("t")
        await asyncio.gather(*[ns.aio.get(f"k{i}") for i in range(5)], ns.aio.get_many(["k1", "k2"]), ns.aio.lookup("k1"))
        await ns.aio.set_many({"a": VALUE})
        await ns.aio.get_or_load("x", lambda: asyncio.sleep(0, VALUE))
        await ns.aio.delete_many(["a", "x"])
        gone = asyncio.ensure_future(ns.aio.begin("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await asyncio.gather(ns.aio.incr("text"), ns.aio.set("big", b"x" * (3 << 20)), return_exceptions=True)
        await ns.aio.delete("text")

    return lambda: asyncio.run(all_calls())


def turn_of_caches():
    with libcache.Cache(memory_bytes=1 << 20) as cache:
        ns = cache.namespace("test", type=list[int])
        ns.set("key", [1])
        ns.aio.get("key").close()
        ns.begin("open")


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def grown(turn, turns):
    """Objects, references (None: not counted here) and bytes, over so many turns."""
    for _ in range(20):
        turn()
    gc.collect()
    count = getattr(sys, "gettotalrefcount", lambda: None)
    before = len(gc.get_objects()), count(), resident()
    for _ in range(turns):
        turn()
    gc.collect()
    after = len(gc.get_objects()), count(), resident()
    return [b - a if a is not None else None for a, b in zip(before, after)]


@pytest.mark.parametrize("what", ["values", "namespace", "loop", "caches"])
def test_nothing_is_kept(what, request):
    turns = {"values": 3000, "namespace": 400, "loop": 100, "caches": 150}[what]
    turn = {"values": lambda: turn_of_values, "namespace": turns_of_a_namespace, "caches": lambda: turn_of_caches,
            "loop": lambda: turns_of_a_loop(request.getfixturevalue("server"))}[what]()  # fmt: skip
    for attempt in range(3):  # what is made once, late, is no leak: it does not come again
        objects, references, memory = grown(turn, turns)
        if objects < turns / 4 and memory < turns * 400 and (references is None or references < turns / 4):
            return
    pytest.fail(f"{turns} turns left {objects} objects, {references} references and {memory} bytes")
