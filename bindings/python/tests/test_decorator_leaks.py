"""Decorated functions keep nothing: not of hits, misses and failures, and nothing of a function that has gone."""

import asyncio
import dataclasses
import gc
import weakref

import pytest

import libcache
from test_leaks import grown, ignore


@dataclasses.dataclass
class Page:
    number: int


def fails(a, *rest, **more):
    raise KeyError(a)


async def coroutine(a, b=2):
    return {"a": [a, b]}


def turns_of_functions():
    clock = libcache.TestClock()
    cache = libcache.Cache(memory_bytes=1 << 20, clock=clock)
    ns = cache.namespace("test", ttl=100)
    options = {"name": "find", "tags": ["t:{a}"], "exclude": "c", "secret": "d"}
    find = ns.cached(**options)(lambda a, b=2, *args, c=3, d="x", **more: {"a": [b], "args": args})
    template = ns.cached(name="template", key="x:{a}:{b}", memo=5)(lambda a, b: [a, b])
    typed = ns.cached(name="typed", type=Page)(lambda n: Page(n))
    kept = ns.cached(name="kept", exceptions=KeyError)(fails)
    thrown = ns.cached(name="thrown")(fails)

    def turn():
        for a in (1, 2**70, "x", 1.5, None, "x" * 1000):
            find(a, 1, 2, 3, c=4, e=5)
            find(a, 1, 2, 3, c=4, e=5)
            find.cache_key(a)
        for a in ("\ud800", b"x", (1, [2]), {"z": 1, "a": {2, 3}}, Page(1)):
            find.cache_key(a)
        find.invalidate(1)
        ignore(find)
        ignore(find, object())
        ignore(find, [[object()]])
        ignore(find.cache_key, b=1)
        template(1, "x"), template(1, "x"), template(a=1, b="x")
        ignore(template, object(), 1)
        typed(1), typed(1)
        ignore(kept, 1), ignore(kept, 1), ignore(thrown, 1, 2, x=3)
        find.cache_clear()
        cache.clear()

    return turn


def turns_of_coroutines():
    cache = libcache.Cache(memory_bytes=1 << 20)
    ns = cache.namespace("test", ttl=100)
    find = ns.cached(coroutine)

    @ns.cached(name="waits")
    async def waits():
        await asyncio.sleep(0.001)
        raise OSError

    async def all_calls():
        await find(1), await find(1)
        find(1).close()
        ignore(find(1).send, None)
        ignore(find(1).throw, KeyError)
        await asyncio.gather(*(find(2) for _ in range(5)))
        tasks = [asyncio.create_task(waits()) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await find.invalidate(1)
        await find.cache_clear()
        cache.clear()

    return lambda: asyncio.run(all_calls())


@pytest.mark.parametrize("what", ["functions", "coroutines"])
def test_nothing_is_kept(what):
    turn, turns = (turns_of_functions(), 400) if what == "functions" else (turns_of_coroutines(), 100)
    for _ in range(8):  # what is made once, late, is no leak: it does not come again. The cache's own memory fills up for a while
        objects, references, memory = grown(turn, turns)
        if objects < turns / 4 and memory < turns * 400 and (references is None or references < turns / 4):
            return
    pytest.fail(f"{turns} turns left {objects} objects, {references} references and {memory} bytes")


def test_a_function_that_is_not_used_any_more_goes():
    cache = libcache.Cache(memory_bytes=1 << 20)
    ns = cache.namespace("test", ttl=100)

    def function(a):
        return [a, itself]

    itself = find = ns.cached(name="find", store=lambda result: False)(function)
    find(1)
    gone = weakref.ref(find), weakref.ref(function)
    del find, itself, function
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
