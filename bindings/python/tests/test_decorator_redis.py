"""@cached with Redis: several hosts, and a Redis that goes away in the middle. Two caches without a name are two hosts."""

import asyncio
import threading

import pytest

import libcache
from conftest import wait_for


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request):
    """asyncio.run, or the same with uvloop."""
    if request.param == "asyncio":
        return asyncio.run
    uvloop = pytest.importorskip("uvloop")

    def run(main):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    return run


@pytest.fixture
def hosts(server):
    with server.cache() as one, server.cache() as other:
        yield one, other


def on_each(hosts, function, **policy):
    """The same function on both, and who ran it."""
    ran = []

    def decorate(host, number):
        async def find(*args):
            ran.append(number)
            return await function(*args)

        return host.namespace("users", ttl=60, **policy).cached(name="find", tags="user:{args[0]}")(find)

    return decorate(hosts[0], 0), decorate(hosts[1], 1), ran


async def whole(key):
    await asyncio.sleep(0)
    return [key, None, ("tuple",)]


async def until(condition):
    async def poll():
        while not await condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(poll(), 10)


def test_what_one_host_has_loaded_the_other_has(hosts, runner):
    one, other, ran = on_each(hosts, whole)

    async def main():
        assert await one(1) == await other(1) == await other(1) == [1, None, ("tuple",)]

    runner(main())
    assert ran == [0]
    assert hosts[1].stats()["l2_hits"] >= 1 and hosts[1].stats()["hits"] == 2


def test_what_one_host_invalidates_the_other_loads_anew(hosts, runner):
    one, other, ran = on_each(hosts, whole)

    async def main():
        await one(1), await other(1)
        await one.invalidate(1)
        await until(lambda: asyncio.sleep(0, not hosts[1].namespace("users").aio.sync.exists(other.cache_key(1))))
        await other(1)
        assert ran == [0, 1]
        await hosts[0].aio.invalidate("user:1")
        await until(lambda: asyncio.sleep(0, not hosts[1].namespace("users").aio.sync.exists(other.cache_key(1))))
        await other(1), await one(1)
        assert ran == [0, 1, 1]

    runner(main())


def test_a_slow_load_does_not_outlive_an_invalidation_elsewhere(hosts, runner):
    go = threading.Event()

    async def slow(key):
        if not go.is_set():
            await asyncio.to_thread(go.wait, 10)
            return "old"
        return "new"

    one, other, ran = on_each(hosts, slow)

    async def main():
        task = asyncio.create_task(one(1))
        await until(lambda: asyncio.sleep(0, bool(ran)))
        await hosts[1].aio.invalidate("user:1")
        go.set()
        assert await task == "old"  # its caller asked before
        assert await hosts[0].aio.poll(5)  # it has heard of it
        assert await one(1) == "new" and await other(1) == "new"

    runner(main())


def test_many_tasks_and_a_cancelled_leader(hosts, runner):
    begun, go = [], threading.Event()

    async def slow(key, who):
        begun.append(who)
        while not go.is_set():
            await asyncio.sleep(0.001)
        return who

    async def main():
        find = hosts[0].namespace("users", ttl=60).cached(name="find", exclude="who")(slow)
        tasks = [asyncio.create_task(find(1, i)) for i in range(200)]
        await until(lambda: asyncio.sleep(0, bool(begun) and hosts[0].stats()["load_waits"] >= 199))
        for task in tasks[: begun[0] + 1]:
            task.cancel()
        await until(lambda: asyncio.sleep(0, len(begun) == 2))
        go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        left = [value for value in found if not isinstance(value, asyncio.CancelledError)]
        assert left and set(left) == {begun[1]} and len(begun) == 2

    runner(main())


def test_one_host_loads_where_the_namespace_says_so(hosts, runner):
    async def slow(key):
        await asyncio.sleep(0.05)
        return key

    one, other, ran = on_each(hosts, slow, load_lease=2)

    async def main():
        assert await asyncio.gather(*(find(7) for find in (one, other) for _ in range(10))) == [7] * 20

    runner(main())
    assert len(ran) == 1


def test_redis_that_goes_away_costs_loads_and_nothing_else(own_server, runner):
    with own_server.cache(redis_timeout=0.2, max_staleness=0.3) as cache:
        ran = []

        @cache.namespace("users", ttl=60).cached(name="find")
        async def find(key):
            ran.append(key)
            return [key]

        async def main():
            assert await find(1) == [1]
            own_server.kill()
            for key in range(50):
                assert await find(key) == [key]
            with pytest.raises(libcache.RedisError):
                await find.invalidate(1)
            assert await find(1) == [1]
            own_server.start()
            await until(lambda: cache.aio.poll(0.2))
            assert await find(100) == await find(100) == [100]

        runner(main())
        assert ran.count(100) == 1


def test_sync_functions(hosts):
    ran = []

    def on(host, number):
        return host.namespace("users", ttl=60).cached(name="find")(lambda key: ran.append(number) or [key])

    finds = [on(host, number) for number, host in enumerate(hosts)]
    assert finds[0](1) == finds[1](1) == [1]
    assert ran == [0]
    assert finds[0].invalidate(1) is True
    wait_for(lambda: not hosts[1].namespace("users").exists(finds[1].cache_key(1)))
    finds[1](1)
    assert ran == [0, 1]
