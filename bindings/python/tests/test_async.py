"""Event loops: hits do not suspend, misses share round trips, and one waiter's end is nobody else's."""

import asyncio
import contextlib
import gc
import random
import socket
import threading
import time
import weakref

import pytest

import libcache
from conftest import wait_for


@pytest.fixture
def two(server):
    """Writer and reader: two hosts."""
    with server.cache() as writer, server.cache() as reader:
        yield writer.namespace("test", ttl=100), reader.namespace("test", ttl=100)


def run_without_a_loop(awaitable):
    """The result of what must not suspend."""
    with pytest.raises(StopIteration) as stop:
        awaitable.send(None)
    return stop.value.value


# ---- Hits


async def test_a_hit_does_not_suspend(two):
    ns, _ = two
    for value in (1, None, (1, 2), [1], "x"):
        ns.set("key", value)

        async def get():
            return await ns.aio.get("key")

        assert run_without_a_loop(get()) == value
        assert run_without_a_loop(ns.aio.get("key")) == value
        assert await ns.aio.get("key") == value


async def test_a_hit_is_awaited_once(ns):
    ns.set("key", 1)
    hit = ns.aio.get("key")
    assert await hit == 1
    with pytest.raises(RuntimeError):
        await hit


async def test_hits_and_misses_may_be_tasks(two):
    writer, reader = two
    for key in ("a", "b", "c"):
        writer.set(key, key)
    for _ in range(2):  # from Redis, then from memory
        assert await asyncio.create_task(reader.aio.get("a")) == "a"
        assert await asyncio.gather(*[reader.aio.get(key) for key in ("a", "b", "c", "d")]) == ["a", "b", "c", None]
        assert await asyncio.wait_for(reader.aio.get("b"), 5) == "b"
        done, _ = await asyncio.wait([asyncio.ensure_future(reader.aio.get("c"))])
        assert [task.result() for task in done] == ["c"]


async def test_all_calls(two):
    writer, reader = two
    ns, aio = reader, reader.aio
    await aio.set("key", {"a": 1}, ttl=50, tags=["t"])
    assert writer.get("key") == {"a": 1}
    assert (await aio.lookup("key")).value == {"a": 1}
    assert 49 < await aio.ttl_left("key") < 50.1
    assert await aio.exists("key")
    assert not await aio.exists("absent")
    assert await aio.ttl_left("absent") is None
    assert await aio.touch("key", 20)
    assert not await aio.touch("absent")
    assert not await aio.add("key", 1)
    assert await aio.add("new", 1)
    assert await aio.incr("n", 5) == 5
    assert await aio.decr("n", 2) == 3
    await aio.set_many({"a": 1, "b": [2]}, tags=["t"])
    assert await aio.get_many(["a", "b", "c", "new"]) == {"a": 1, "b": [2], "new": 1}
    assert writer.get_many(["a", "b"]) == {"a": 1, "b": [2]}
    await ns.cache.aio.invalidate("t")
    assert await aio.get_many(["a", "key"]) == {}
    assert await aio.delete("new")
    assert not await aio.delete("new")
    await aio.set_many([("x", 1), ("y", 2)])
    assert await aio.delete_many(["x", "y", "z"]) == 2
    await aio.set_negative("gone")
    assert (await aio.lookup("gone")).result == libcache.NEGATIVE
    await aio.set("last", 1)
    await aio.clear()
    assert await aio.get("last") is None
    await aio.set("last", 1)
    await ns.cache.aio.clear()
    assert writer.get("last") is None or ns.cache.poll()
    assert await ns.cache.aio.poll() is True
    assert [(await ns.cache.aio.rate_hit("r", 1, 60)).allowed for _ in range(2)] == [True, False]
    async with ns.cache.aio.lock("job", ttl=30) as lock:
        assert not writer.cache.lock("job", ttl=30).take()
        await lock.keep()
        with pytest.raises(TimeoutError):
            async with writer.cache.aio.lock("job", ttl=30, wait=0.01):
                pass
    assert await writer.cache.aio.lock("job", ttl=30).take()


async def test_errors_are_the_waiters(two):
    ns, _ = two
    ns.set("text", "x")
    with pytest.raises(libcache.NumberError):
        await ns.aio.incr("text")
    with pytest.raises(libcache.TooBigError):
        await ns.aio.set("key", b"x" * (3 << 20))
    with pytest.raises(libcache.InvalidError):
        await ns.aio.get("")
    with pytest.raises(TypeError):
        ns.aio.get(1)
    with pytest.raises(libcache.EncodeError):
        ns.aio.set("key", object())


def test_without_a_running_loop_a_miss_says_so(two):
    with pytest.raises(RuntimeError, match="no running event loop"):
        two[0].aio.get("absent")


# ---- Round trips


async def test_concurrent_misses_share_round_trips(two):
    writer, reader = two
    writer.set_many({f"k{i}": i for i in range(2000)})
    before = reader.cache.stats()["l2_exchanges"]
    replies = [reader.aio.get(f"k{i}") for i in range(2000)]
    assert await asyncio.gather(*replies) == list(range(2000))
    assert reader.cache.stats()["l2_exchanges"] - before < 1000


async def test_the_descriptor_is_registered_once(two):
    writer, reader = two
    loop, added = asyncio.get_running_loop(), []
    original = loop.add_reader
    loop.add_reader = lambda *args: (added.append(args[0]), original(*args))[1]
    try:
        for i in range(20):
            await reader.aio.get(f"absent{i}")
            await writer.aio.set(f"key{i}", i)
    finally:
        del loop.add_reader
    assert len(added) <= 1


# ---- Cancellation


async def test_a_cancelled_waiter_disturbs_nobody(two):
    """The answers that arrive for those that have gone are dropped, and everybody else gets his own."""
    writer, reader = two
    writer.set_many({f"k{i}": f"value {i}" for i in range(500)})
    rng = random.Random(1)

    async def get(i):
        assert await reader.aio.get(f"k{i}") == f"value {i}"
        return i

    for _ in range(20):
        reader.cache.clear()
        writer.set_many({f"k{i}": f"value {i}" for i in range(500)})
        tasks = [asyncio.create_task(get(i)) for i in range(500)]
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        gone = {task for task in tasks if rng.random() < 0.5 and task.cancel()}
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, (task, result) in enumerate(zip(tasks, results)):
            assert isinstance(result, asyncio.CancelledError) if task in gone else result == i


async def test_timeouts_are_cancellations(two):
    writer, reader = two
    for i in range(200):
        try:
            await asyncio.wait_for(reader.aio.get(f"absent{i}"), 0.00005)
        except asyncio.TimeoutError:
            pass
    writer.set("key", "value")
    assert await reader.aio.get("key") == "value"


async def test_a_load_that_came_for_a_cancelled_waiter_is_given_up(two):
    _, reader = two
    for i in range(50):
        task = asyncio.ensure_future(reader.aio.begin(f"key{i}"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Whoever is next loads, and does not wait for one that is not there.
        result, _, load, *_ = await asyncio.wait_for(reader.aio.begin(f"key{i}"), 5)
        assert result == libcache.LEAD
        load.abort_soon(False)


async def test_a_lock_that_came_for_a_cancelled_waiter_is_freed(two):
    ns, _ = two
    for _ in range(20):
        task = asyncio.ensure_future(ns.cache.lock_take_async("job", 30))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with ns.cache.aio.lock("job", ttl=30, wait=5):
            pass


@pytest.mark.parametrize("with_redis", [True, False])
async def test_who_waits_for_a_lock_is_woken(request, with_redis):
    """By news, and not by looking ten times a second: then none of these would be quick."""
    if with_redis:
        a, b = (ns.cache for ns in request.getfixturevalue("two"))
    else:
        a = b = request.getfixturevalue("cache")
    took = []
    for _ in range(20):
        lock, other = a.lock("job", ttl=60), b.aio.lock("job", ttl=60, wait=30)
        assert lock.take()
        task = asyncio.ensure_future(other.take())
        await asyncio.sleep(0)
        await b.aio.lock("another", ttl=60).take()  # is served after that has begun to wait
        begun = time.perf_counter()
        lock.free()
        assert await task
        took.append(time.perf_counter() - begun)
        await other.free()
    assert sorted(took)[5] < 0.05  # a quarter of them: machines are busy


async def test_waiting_for_a_lock_ends(two):
    writer, reader = two
    with writer.cache.lock("job", ttl=60):
        assert not await reader.cache.aio.lock("job", ttl=60, wait=0.02).take()
    with writer.cache.lock("short", ttl=0.02):
        assert await reader.cache.aio.lock("short", ttl=60, wait=30).take()


def looks(server, names):
    """Redis's MONITOR, and a function that reads the next command: which of the locks it asked for, if any."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(server.socket)
    connection.sendall(b"MONITOR\r\n")
    lines = connection.makefile("rb")
    assert lines.readline() == b"+OK\r\n"

    def read():
        line = lines.readline()
        return next((name for name in names if name.encode() in line and b"EVALSHA" in line), None)

    return connection, read


async def test_a_cancelled_waiter_asks_for_the_lock_no_more(server, two):
    writer, reader = two
    assert writer.cache.lock("cancelled", ttl=600).take() and writer.cache.lock("waited-for", ttl=600).take()
    task = asyncio.ensure_future(reader.cache.aio.lock("cancelled", ttl=60, wait=600).take())
    other = asyncio.ensure_future(reader.cache.aio.lock("waited-for", ttl=60, wait=600).take())
    await asyncio.sleep(0)
    assert not await reader.cache.aio.lock("waited-for", ttl=60).take()  # served after they have begun to wait
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await reader.cache.aio.lock("waited-for", ttl=60).take()  # served after that
    connection, read = looks(server, ["cancelled", "waited-for"])
    with connection:
        seen = []
        while seen.count("waited-for") < 3:
            seen.append(read())
    assert "cancelled" not in seen
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_cancelled_leader_hands_over(two):
    _, reader = two
    loading = asyncio.Event()

    async def never():
        loading.set()
        await asyncio.sleep(3600)

    async def load():
        return "loaded"

    leader = asyncio.create_task(reader.aio.get_or_load("key", never))
    await loading.wait()
    waiters = [asyncio.create_task(reader.aio.get_or_load("key", load)) for _ in range(20)]
    await asyncio.sleep(0.01)
    waiters[3].cancel()
    leader.cancel()
    results = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 10)
    assert [result for i, result in enumerate(results) if i != 3] == ["loaded"] * 19


# ---- Loads


async def test_one_loads_for_all(two):
    runs = []

    async def load():
        runs.append(1)
        await asyncio.sleep(0.02)
        return ["value"]

    ns, _ = two
    results = await asyncio.gather(*[ns.aio.get_or_load("key", load) for _ in range(100)])
    assert results == [["value"]] * 100
    assert len(runs) == 1


async def test_loops_and_threads_wait_for_one_another(two):
    ns, _ = two
    loading, go_on = threading.Event(), threading.Event()

    def slow():
        loading.set()
        assert go_on.wait(10)
        return "value"

    thread = threading.Thread(target=lambda: ns.get_or_load("key", slow))
    thread.start()
    assert loading.wait(10)

    async def never():
        pytest.fail("the thread loads")

    waiter = asyncio.create_task(ns.aio.get_or_load("key", never))
    await asyncio.sleep(0.01)
    assert not waiter.done()
    go_on.set()
    assert await asyncio.wait_for(waiter, 10) == "value"
    thread.join(10)


async def test_who_has_waited_long_enough_loads_for_himself(two):
    ns, _ = two
    _, _, load, *_ = ns.begin("key")
    result, _, own, *_ = await asyncio.wait_for(ns.aio.begin("key", 0.02), 10)
    assert result == libcache.BYPASS
    own.abort_soon(False)
    load.abort(False)


async def test_what_cannot_be_decoded_is_loaded_anew(two):
    writer, reader = two

    class Raw:
        def encode(self, value):
            return value, 3

        def decode(self, data, codec):
            return data

    async def load():
        return "loaded"

    writer.cache.namespace("test", codec=Raw()).set("key", b"\xc1")
    assert await reader.aio.get("key", "missing") == "missing"
    assert await reader.aio.get_or_load("key", load) == "loaded"
    assert writer.get("key") == "loaded" or writer.cache.poll()


async def test_the_loaders_exception_is_raised(two):
    ns, _ = two

    async def load():
        raise KeyError("row")

    with pytest.raises(KeyError, match="row"):
        await ns.aio.get_or_load("key", load)
    with pytest.raises(libcache.LoadError):
        await ns.aio.get_or_load("key", load)


# ---- Loops


def test_one_loop_after_the_other(two):
    writer, reader = two
    for i in range(20):
        writer.set(f"k{i}", i)
        assert asyncio.run(get(reader, f"k{i}")) == i


async def get(ns, key):
    return await ns.aio.get(key)


def test_loops_go_although_they_were_used(two):
    _, reader = two
    loop = asyncio.new_event_loop()
    seen = weakref.ref(loop)
    loop.run_until_complete(get(reader, "absent"))
    loop.close()
    del loop
    gc.collect()
    assert seen() is None


def test_a_loop_that_is_closed_while_answers_are_under_way(two):
    writer, reader = two

    async def leave():
        for i in range(100):
            reader.aio.get(f"absent{i}").add_done_callback(lambda reply: None)

    seen = []
    for _ in range(5):
        loop = asyncio.new_event_loop()
        seen.append(weakref.ref(loop))
        loop.run_until_complete(leave())
        loop.close()
    del loop
    writer.set("key", 1)
    assert asyncio.run(get(reader, "key")) == 1
    assert asyncio.run(get(reader, "absent")) is None
    assert asyncio.run(get(reader, "absent")) is None
    gc.collect()
    assert [ref() for ref in seen] == [None] * 5


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_loops_in_several_threads(two, kind):
    new_loop = asyncio.new_event_loop if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    writer, reader = two
    writer.set_many({f"k{i}": i for i in range(400)})
    got = []

    def work(n):
        loop = new_loop()

        async def main():
            for _ in range(5):
                assert await asyncio.gather(*[reader.aio.get(f"k{i}") for i in range(n, 400, 4)]) == list(range(n, 400, 4))
                await reader.aio.delete_many([f"k{i}" for i in range(n, 400, 4)])
                await writer.aio.set_many({f"k{i}": i for i in range(n, 400, 4)})

        loop.run_until_complete(main())
        loop.close()
        got.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [0, 1, 2, 3]


def test_uvloop(two):
    uvloop = pytest.importorskip("uvloop")
    writer, reader = two
    writer.set("key", "value")
    for _ in range(3):
        loop = uvloop.new_event_loop()
        assert loop.run_until_complete(get(reader, "key")) == "value"
        loop.run_until_complete(get(reader, "absent"))
        loop.close()


def test_closing_answers_what_is_under_way(server):
    async def main():
        cache = server.cache()
        ns = cache.namespace("test")
        replies = [ns.aio.set(f"k{i}", i) for i in range(100)]
        cache.close()
        await asyncio.wait_for(asyncio.gather(*replies), 10)
        with pytest.raises(libcache.ClosedError):
            ns.aio.get("k1")

    asyncio.run(main())


# ---- Redis is away


def comes_back(ns):
    try:
        ns.set("key", "again")
    except libcache.RedisError:  # connections of before
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_calls_go_on_when_redis_does_not(own_server, how):
    with own_server.cache(redis_timeout=0.2, breaker_backoff=0.05) as cache:
        ns = cache.namespace("test", ttl=100)
        stop = asyncio.Event()
        rounds = [0] * 20

        async def work(n):
            while not stop.is_set():
                rounds[n] += 1
                assert await ns.aio.get(f"absent {n} {rounds[n]}") is None
                assert await ns.aio.get_or_load(f"load {n} {rounds[n] % 10}", lambda: asyncio.sleep(0.001, "x")) == "x"
                try:
                    await ns.aio.set(f"key {n}", rounds[n])
                    await ns.cache.aio.invalidate(f"tag {n}")
                except libcache.RedisError:
                    pass

        async def each_did(more):
            at = [n + more for n in rounds]
            while any(n < least for n, least in zip(rounds, at)):
                await asyncio.sleep(0.001)

        workers = [asyncio.create_task(work(n)) for n in range(20)]
        await asyncio.wait_for(each_did(5), 20)
        own_server.kill() if how == "killed" else own_server.pause()
        await asyncio.wait_for(each_did(5), 20)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*workers), 20)
        own_server.start() if how == "killed" else own_server.go_on()
        wait_for(lambda: cache.poll() and cache.stats()["l2_up"] and comes_back(ns))
        assert await ns.aio.get("key") == "again"


async def commit(ns):
    _, _, load, _ = await ns.aio.begin("another")
    return await load.commit_async(1)


async def call_decorated(ns):
    @ns.cached(name="double")
    async def double(n):
        return 2 * n

    assert await double(2) == 4
    return await double.invalidate(2)


EXCHANGES = {
    "get": lambda ns: ns.aio.get("absent"),
    "get_many": lambda ns: ns.aio.get_many(["absent", "too"]),
    "exists": lambda ns: ns.aio.exists("absent"),
    "ttl_left": lambda ns: ns.aio.ttl_left("absent"),
    "set": lambda ns: ns.aio.set("key", 1),
    "set_many": lambda ns: ns.aio.set_many({"key": 1, "too": 2}),
    "set_negative": lambda ns: ns.aio.set_negative("key"),
    "add": lambda ns: ns.aio.add("key", 1),
    "incr": lambda ns: ns.aio.incr("number"),
    "touch": lambda ns: ns.aio.touch("key"),
    "delete": lambda ns: ns.aio.delete("key"),
    "delete_many": lambda ns: ns.aio.delete_many(["key", "too"]),
    "clear": lambda ns: ns.aio.clear(),
    "invalidate": lambda ns: ns.cache.aio.invalidate("tag"),
    "lock": lambda ns: ns.cache.aio.lock("job", ttl=10).take(),
    "rate_hit": lambda ns: ns.cache.aio.rate_hit("name", 5, 10),
    "load": commit,
    "decorated": call_decorated,
}


@pytest.mark.parametrize("call", EXCHANGES)
async def test_the_loop_does_not_stall_while_redis_is_silent(own_server, call):
    """Between the beginning of an exchange that Redis holds up, and its end, the loop comes round: how often does not depend on time."""
    with own_server.cache(redis_timeout=20, listen=False) as cache:
        ns = cache.namespace("test", ttl=100)
        ns.set("hit", "there")
        own_server.pause()
        try:
            before = cache.stats()["l2_exchanges"]
            task = asyncio.ensure_future(EXCHANGES[call](ns))

            async def begun():
                while cache.stats()["l2_exchanges"] == before:
                    await asyncio.sleep(0.001)

            await asyncio.wait_for(begun(), 15)
            for _ in range(100):
                assert await ns.aio.get("hit") == "there"
                await asyncio.sleep(0)
            assert not task.done()
        finally:
            own_server.go_on()
        await asyncio.wait_for(task, 20)


async def longest_stall(server, how):
    """Seconds that a heartbeat came late while Redis went away under load."""
    with server.cache(redis_timeout=0.1) as cache:
        ns = cache.namespace("test", ttl=100)
        stop = asyncio.Event()
        late, rounds = 0.0, 0

        async def work(n):
            nonlocal rounds
            while not stop.is_set():
                rounds += 1
                await ns.aio.get(f"absent {n} {rounds}")
                await ns.aio.get_or_load(f"load {n} {rounds % 10}", lambda: asyncio.sleep(0.001, "x"))
                with contextlib.suppress(libcache.RedisError):
                    await ns.aio.set(f"key {n}", rounds)

        async def beat():
            nonlocal late
            while not stop.is_set():
                due = time.monotonic() + 0.005
                await asyncio.sleep(0.005)
                late = max(late, time.monotonic() - due)

        async def more():
            least = rounds + 500
            while rounds < least:
                await asyncio.sleep(0.001)

        tasks = [asyncio.create_task(work(n)) for n in range(20)] + [asyncio.create_task(beat())]
        await asyncio.wait_for(more(), 20)
        server.kill() if how == "killed" else server.pause()
        await asyncio.wait_for(more(), 20)
        server.start() if how == "killed" else server.go_on()
        await asyncio.wait_for(more(), 20)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        return late


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_a_heartbeat_is_not_late_when_redis_goes_away_under_load(own_server, how):
    """By 50 ms at most. A machine that is busy may stop all of us for longer, so the best of some attempts counts."""
    best = 1.0
    for _ in range(5):
        best = min(best, await longest_stall(own_server, how))
        if best <= 0.05:
            break
    assert best <= 0.05
