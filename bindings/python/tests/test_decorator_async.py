"""@cached on coroutine functions: hits that do not suspend, single flight between tasks, cancellation, refreshing in the loop."""

import asyncio
import contextvars
import functools
import inspect
import random

import pytest

import libcache


class Source:
    def __init__(self):
        self.asked = []

    async def __call__(self, *args):
        self.asked.append(args)
        await asyncio.sleep(0)
        return {"args": list(args), "n": len(self.asked)}


async def until(condition, seconds=5):
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0)


async def module_function(a, b=2, *, c=3):
    return [a, b, c]


async def test_the_second_call_does_not_run_the_function(ns):
    source = Source()

    @ns.cached(ttl=10)
    async def find(a, b=2):
        return await source(a, b)

    assert await find(1) == await find(1) == await find(a=1) == {"args": [1, 2], "n": 1}
    assert find.cache_info()[:2] == (2, 1)


async def test_a_hit_does_not_suspend(ns):
    find = ns.cached(module_function)
    await find(1)
    with pytest.raises(StopIteration) as stopped:
        find(1).send(None)
    assert stopped.value.value == [1, 2, 3]


async def test_a_hit_is_given_once(ns):
    find = ns.cached(module_function)
    await find(1)
    hit = find(1)
    assert await hit == [1, 2, 3]
    with pytest.raises(RuntimeError, match="second time"):
        await hit
    hit = find(1)
    hit.close()
    with pytest.raises(RuntimeError):
        await hit
    with pytest.raises(KeyError):
        find(1).throw(KeyError("thrown"))


@pytest.mark.parametrize("value", [None, (1, 2), (), StopIteration, KeyError("x").args, [1], ""])
async def test_values_of_any_kind_are_given(ns, value):
    if value is StopIteration:
        value = ("StopIteration",)
    find = ns.cached(functools.partial(module_value, value), name="find")
    assert await find() == value
    assert await find() == value
    assert await asyncio.create_task(find()) == value


async def module_value(value):
    return value


async def test_hits_and_misses_go_wherever_a_coroutine_goes(ns):
    find = ns.cached(module_function)
    want = [1, 2, 3]
    for _ in range(2):  # a miss, then a hit
        assert await asyncio.gather(find(1), find(1), find(1)) == [want] * 3
        assert await asyncio.create_task(find(1)) == want
        assert await asyncio.wait_for(find(1), 1) == want
        assert await asyncio.shield(find(1)) == want
        assert asyncio.iscoroutine(find(1))
        done, _ = await asyncio.wait([asyncio.ensure_future(find(1))])
        assert [task.result() for task in done] == [want]


def test_asyncio_run_takes_a_hit(ns):
    find = ns.cached(module_function)
    assert asyncio.run(find(1)) == asyncio.run(find(1)) == [1, 2, 3]


def test_it_looks_like_a_coroutine_function(ns):
    find = ns.cached(module_function)
    assert inspect.iscoroutinefunction(find) and asyncio.iscoroutinefunction(find)
    assert inspect.signature(find) == inspect.signature(module_function)
    part = ns.cached(functools.partial(module_function, 1), name="part")
    assert asyncio.iscoroutinefunction(part)

    class Callable:
        async def __call__(self, a):
            return a

    made = ns.cached(Callable(), name="made")
    assert asyncio.iscoroutinefunction(made)
    assert asyncio.run(made(1)) == asyncio.run(made(1)) == 1


async def test_methods(ns):
    class Service:
        asked = 0

        @ns.cached(name="Service.find", exclude="self")
        async def find(self, a):
            Service.asked += 1
            return a

    one = Service()
    bound = one.find
    assert inspect.iscoroutinefunction(bound) and asyncio.iscoroutinefunction(bound)
    assert await bound(1) == await one.find(1) == await Service().find(1) == 1
    assert Service.asked == 1
    assert await bound.invalidate(1) is True
    assert await one.find(1) == 1 and Service.asked == 2


async def test_invalidating(cache, ns):
    source = Source()

    @ns.cached(name="find", tags=["user:{a}"])
    async def find(a):
        return await source(a)

    await find(1), await find(2)
    assert await find.invalidate(1) is True
    assert (await find(1))["n"] == 3
    await cache.aio.invalidate("user:2")
    assert (await find(2))["n"] == 4
    await find.cache_clear()
    assert (await find(1))["n"] == 5


async def test_negative_results_store_and_exceptions(ns, clock):
    asked = []

    @ns.cached(name="find", negative=lambda r: r is None, store=lambda r: r != "refused", exceptions=KeyError)
    async def find(a):
        asked.append(a)
        if a == 3:
            raise KeyError("not there")
        return {0: None, 1: "there", 2: "refused"}[a]

    for _ in range(2):
        assert [await find(0), await find(1), await find(2)] == [None, "there", "refused"]
        with pytest.raises(KeyError, match="not there"):
            await find(3)
    assert asked == [0, 1, 2, 3, 2]
    clock.advance(6)
    await find(0), await find(1)
    with pytest.raises(KeyError):
        await find(3)
    assert asked == [0, 1, 2, 3, 2, 0, 3]


# ---- Single flight and cancellation -----------------------------------------------------------------------------------------------------


class Gate:
    """A function that waits in the middle until it is let go."""

    def __init__(self):
        self.begun = []
        self.cancelled = []
        self.go = asyncio.Event()

    async def __call__(self, who):
        self.begun.append(who)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(who)
            raise
        return who


def gated(ns, gate, **options):
    @ns.cached(name="gated", exclude=["who"], **options)
    async def find(key, who):
        return await gate(who)

    return find


async def test_tasks_that_ask_at_once_load_once(cache, ns):
    gate = Gate()
    find = gated(ns, gate)
    tasks = [asyncio.create_task(find(1, i)) for i in range(1000)]
    await until(lambda: gate.begun and cache.stats()["load_waits"] >= 999)
    gate.go.set()
    assert set(await asyncio.gather(*tasks)) == {gate.begun[0]}
    assert len(gate.begun) == 1
    assert find.cache_info() == (999, 1, 0, 0, 0)


async def test_a_cancelled_waiter_harms_nobody(cache, ns):
    gate = Gate()
    find = gated(ns, gate)
    tasks = [asyncio.create_task(find(1, i)) for i in range(10)]
    await until(lambda: gate.begun and cache.stats()["load_waits"] >= 9)
    for task in tasks[1:5]:
        task.cancel()
    await asyncio.sleep(0)
    gate.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(x) for x in found[1:5]] == [asyncio.CancelledError] * 4
    assert [found[0], *found[5:]] == [0] * 6
    assert gate.begun == [0]


async def test_a_cancelled_leader_hands_over(cache, ns):
    gate = Gate()
    find = gated(ns, gate)
    tasks = [asyncio.create_task(find(1, i)) for i in range(10)]
    await until(lambda: gate.begun and cache.stats()["load_waits"] >= 9)
    tasks[0].cancel()
    await until(lambda: len(gate.begun) == 2)  # with arguments of its own
    assert gate.cancelled == [0]
    gate.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert type(found[0]) is asyncio.CancelledError
    assert set(found[1:]) == {gate.begun[1]}
    assert len(gate.begun) == 2


async def test_when_all_are_cancelled_the_next_one_loads_at_once(ns):
    gate = Gate()
    find = gated(ns, gate)
    tasks = [asyncio.create_task(find(1, i)) for i in range(10)]
    await until(lambda: gate.begun)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.go.set()
    assert await asyncio.wait_for(find(1, "next"), 2) == "next"


async def test_what_a_load_raised_is_for_all_who_waited_and_for_nobody_after(cache, ns):
    asked, go = [], asyncio.Event()

    @ns.cached(name="find")
    async def find(a):
        asked.append(a)
        await go.wait()
        raise OSError(len(asked))

    tasks = [asyncio.create_task(find(1)) for _ in range(100)]
    await until(lambda: asked and cache.stats()["load_waits"] >= 99)
    go.set()
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    assert {(type(e), e.args) for e in raised} == {(OSError, (1,))}
    assert len(asked) == 1
    with pytest.raises(OSError) as error:
        await find(1)
    assert error.value.args == (2,)


async def test_a_timeout_inside_is_the_callers_own(cache, ns):
    """wait_for around a waiter that gives up, while the leader goes on."""
    gate = Gate()
    find = gated(ns, gate)
    leader = asyncio.create_task(find(1, "leader"))
    await until(lambda: gate.begun)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(find(1, "waiter"), 0.01)
    gate.go.set()
    assert await leader == "leader"
    assert await find(1, "after") == "leader"


@pytest.mark.parametrize("seed", range(5))
async def test_a_storm_of_cancellations(cache, ns, seed):
    """Whoever is not cancelled gets a value that belongs to its key, nobody hangs, and at no time two load one key."""
    rng = random.Random(seed)
    inside: dict[int, int] = {}

    @ns.cached(name="find", exclude="how_long")
    async def find(key, how_long):
        assert not inside.get(key), "two loads of one key at a time"
        inside[key] = 1
        try:
            for _ in range(how_long):
                await asyncio.sleep(0)
            if key != "after" and rng.random() < 0.1:
                raise OSError(key)
            return [key]
        finally:
            inside[key] = 0

    async def client():
        for _ in range(20):
            key = rng.randrange(4)
            task = asyncio.create_task(find(key, rng.randrange(5)))
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            if rng.random() < 0.4:
                task.cancel()
            if rng.random() < 0.1:
                await find.invalidate(key)
            try:
                assert await task == [key]
            except asyncio.CancelledError:
                pass
            except OSError as error:
                assert error.args == (key,)

    await asyncio.wait_for(asyncio.gather(*(client() for _ in range(50))), 30)
    assert await asyncio.wait_for(find("after", 0), 5) == ["after"]


async def test_several_loops_in_several_threads(cache, ns):
    asked = []

    @ns.cached(name="find")
    async def find(a):
        asked.append(a)
        await asyncio.sleep(0.05)
        return a

    async def many():
        return await asyncio.gather(*(find(1) for _ in range(20)))

    found = await asyncio.gather(*(asyncio.to_thread(asyncio.run, many()) for _ in range(4)), many())
    assert found == [[1] * 20] * 5
    assert asked == [1]


async def test_a_task_sees_its_own_context(ns):
    variable = contextvars.ContextVar("variable", default="nobody")

    @ns.cached(name="find")
    async def find(a):
        return variable.get()

    variable.set("mine")
    assert await find(1) == "mine"


# ---- Stale values ------------------------------------------------------------------------------------------------------------------------


async def test_older_than_refresh_is_given_out_and_refreshed_behind(ns, clock):
    source = Source()
    find = ns.cached(ttl=60, refresh=10, name="find")(source.__call__)
    await find(1)
    clock.advance(11)
    assert (await find(1))["n"] == 1
    assert (await find(1))["n"] == 1
    await until(lambda: len(source.asked) == 2)
    await until(lambda: find.cache_info().refreshes == 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (await find(1))["n"] == 2
    assert len(source.asked) == 2


async def test_a_soft_ttl_of_the_namespace_does_the_same(cache, clock):
    source = Source()
    find = cache.namespace("soft", ttl=60, soft_ttl=10).cached(name="find")(source.__call__)
    await find(1)
    clock.advance(11)
    assert (await find(1))["n"] == 1
    await until(lambda: len(source.asked) == 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (await find(1))["n"] == 2


async def test_a_refresh_that_fails_leaves_the_older_value(ns, clock, caplog):
    asked = []

    @ns.cached(ttl=60, refresh=10, name="find")
    async def find():
        asked.append(1)
        if len(asked) > 1:
            raise OSError("the database is away")
        return "old"

    await find()
    clock.advance(11)
    assert await find() == "old"
    await until(lambda: "its refresh failed" in caplog.text)
    assert await find() == "old"
    await asyncio.sleep(0.05)  # nothing is tried again so soon, and nothing said
    assert len(asked) == 2 and caplog.text.count("its refresh failed") == 1


async def test_with_a_request_among_the_arguments_a_refresh_is_done_at_once(ns, clock):
    requests = pytest.importorskip("starlette.requests")
    asked = []

    @ns.cached(ttl=60, refresh=10, name="find")
    async def find(a, request):
        asked.append(asyncio.current_task())
        return len(asked)

    request = requests.Request({"type": "http", "headers": []})
    assert await find(1, request) == 1
    clock.advance(11)
    assert await find(1, request) == 2
    assert asked == [asyncio.current_task()] * 2


async def test_a_closed_cache_is_no_fault_of_the_call(clock):
    cache = libcache.Cache(clock=clock, memory_bytes=1 << 20)
    find = cache.namespace("n", ttl=60).cached(module_function)
    await find(1)
    cache.close()
    assert await find(1) == [1, 2, 3]
