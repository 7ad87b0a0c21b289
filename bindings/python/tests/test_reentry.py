"""What the caller's own code does in the middle of a call: it closes the cache, ends loops, raises, is interrupted."""

import asyncio
import datetime
import functools
import gc
import os
import signal
import threading
import uuid

import pytest
from conftest import wait_for

import libcache
from libcache import loads


class Closes:
    """A codec, and all else that Python calls, that closes the cache."""

    def __init__(self, cache):
        self.cache = cache

    def encode(self, value):
        self.cache.close()
        return b"bytes", 200

    def decode(self, data, codec):
        self.cache.close()
        raise ValueError("not mine")

    def __bool__(self):
        self.cache.close()
        return False

    def items(self, *items):
        self.cache.close()
        yield from items


class Seconds(int):
    def __float__(self):
        raise AssertionError("what it says is in its digits")


def hashed(closes):
    class Key(str):
        def __hash__(self):
            closes.cache.close()
            return 5

    return Key("key")


CLOSED_WITHIN = {
    "encode": lambda ns, own, c: own.set("key", 1),
    "add": lambda ns, own, c: own.add("key", 1),
    "assign": lambda ns, own, c: own.__setitem__("key", 1),
    "encode many": lambda ns, own, c: own.set_many({"a": 1, "b": 2}),
    "tags": lambda ns, own, c: ns.set("key", 1, tags=c.items("tag")),
    "tags of a negative": lambda ns, own, c: ns.set_negative("key", tags=c.items("tag")),
    "tags of a counter": lambda ns, own, c: ns.incr("key", tags=c.items("tag")),
    "items": lambda ns, own, c: ns.set_many(c.items(("a", 1))),
    "keys": lambda ns, own, c: ns.get_many(c.items("there")),
    "keys that are not there": lambda ns, own, c: ns.get_many(c.items("absent", "too")),
    "keys to delete": lambda ns, own, c: ns.delete_many(c.items("there")),
    "decode": lambda ns, own, c: own.get("there"),
    "decode many": lambda ns, own, c: own.get_many(["there", "absent"]),
    "decode for a load": lambda ns, own, c: own.begin("there"),
    "refresh": lambda ns, own, c: ns.begin("key", refresh=c),
    "commit": lambda ns, own, c: own.begin("key")[2].commit(1),
    "the memo's key": lambda ns, own, c: ns.cache.namespace("test", memo=5).get(hashed(c)),
}  # fmt: skip


@pytest.mark.parametrize("how", CLOSED_WITHIN)
@pytest.mark.parametrize("with_redis", [False, True])
def test_a_cache_that_is_closed_within_a_call_is_closed(request, how, with_redis):
    """And nothing more: run under AddressSanitizer."""
    cache = request.getfixturevalue("server").cache() if with_redis else libcache.Cache(memory_bytes=4 << 20)
    ns = cache.namespace("test", ttl=100)
    ns.set("there", [1])
    closes = Closes(cache)
    with pytest.raises(libcache.ClosedError):
        CLOSED_WITHIN[how](ns, cache.namespace("test", codec=closes), closes)
    assert cache.closed


@pytest.mark.parametrize("how", ["get", "get_many", "set", "begin"])
async def test_so_it_is_for_event_loops(server, how):
    cache = server.cache()
    ns = cache.namespace("test", ttl=100)
    ns.set("there", [1])
    closes = Closes(cache)
    own = cache.namespace("test", codec=closes).aio
    calls = {"get": (own.get, "there"), "get_many": (own.get_many, ["there"]), "set": (own.set, "key", 1), "begin": (own.begin, "there")}
    call, *arguments = calls[how]
    with pytest.raises(libcache.ClosedError):
        await call(*arguments)


def test_seconds_are_the_digits_of_an_int(ns):
    ns.set("key", 1, ttl=Seconds(5))
    assert ns.ttl_left("key") == 5


def test_a_cache_that_is_closed_while_a_loop_is_registered(server):
    cache = server.cache()
    ns = cache.namespace("test", ttl=100)

    class Loop(asyncio.SelectorEventLoop):
        def add_reader(self, *arguments):
            cache.close()
            return super().add_reader(*arguments)

    async def call():
        await ns.aio.get("key")

    asyncio.run(call())  # the cache's thread is there
    loop = Loop()
    try:
        with pytest.raises(libcache.ClosedError):
            loop.run_until_complete(call())
    finally:
        loop.close()


def test_a_loop_that_goes_while_closed_ones_are_looked_for(server):
    with server.cache() as cache:
        ns = cache.namespace("test", ttl=100)
        others, seen = [], []

        class Loop(asyncio.SelectorEventLoop):
            def is_closed(self):
                if others and seen:
                    others.clear()
                    gc.collect()
                return super().is_closed()

        async def call():
            return await ns.aio.get("key")

        first = Loop()
        first.run_until_complete(call())
        others.append(asyncio.SelectorEventLoop())
        others[0].run_until_complete(call())
        others[0].close()
        first.close()
        seen.append(True)
        assert asyncio.run(call()) is None and not others


# ---- Fork


def child(job):
    """Its exit status."""
    pid = os.fork()
    if not pid:
        try:
            job()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_what_a_loop_waits_for_does_not_go_to_its_forked_child(server):
    with server.cache(listen=False) as cache:
        ns = cache.namespace("test", ttl=100)
        loop = asyncio.get_running_loop()
        await ns.aio.get("key")
        exchanges = cache.stats()["l2_exchanges"]
        reply = cache.lock_take_async("job", 60)
        wait_for(lambda: cache.stats()["l2_exchanges"] > exchanges and cache.lock_owner("job"))  # the answer lies there

        def job():
            asyncio._set_running_loop(None)
            loop.is_closed = lambda: True  # as it is after loop.close(), which would touch the parent's epoll
            asyncio.run(asyncio.wait_for(ask(), 10))

        async def ask():
            await ns.aio.get("another")
            await ns.aio.get("one more")

        assert child(job) == 0
        owner = await asyncio.wait_for(reply, 10)
        assert cache.lock_owner("job")[0] == owner


@pytest.mark.parametrize("where", ["shared", "redis"])
def test_a_child_does_not_end_its_parents_load(request, where):
    cache = request.getfixturevalue("server").cache() if where == "redis" else libcache.Cache(memory_bytes=4 << 20, shared=True)
    with cache:
        ns = cache.namespace("test", ttl=100, load_lease=2) if where == "redis" else cache.namespace("test", ttl=100)
        begun = [ns.begin("key")[2]]

        def job():
            with pytest.raises(libcache.InvalidError):
                begun[0].commit("the child's")
            begun.clear()
            ns.get("whatever comes after it")

        assert child(job) == 0
        assert ns.begin("key", wait=0.01)[0] == libcache._core.BYPASS
        assert begun[0].commit("the parent's") and ns.get("key") == "the parent's"


# ---- Cancelled, interrupted, stuck


async def test_a_lock_that_came_in_the_turn_in_which_its_waiter_was_cancelled_is_freed(server):
    with server.cache() as cache:
        lock = cache.aio.lock("job", ttl=60)

        class Cancelling:
            def __getattr__(self, name):
                return getattr(cache, name)

            def lock_take_async(self, *arguments):
                reply = cache.lock_take_async(*arguments)
                reply.add_done_callback(lambda _: task.cancel())
                return reply

        lock._cache = Cancelling()
        task = asyncio.ensure_future(lock.take())
        with pytest.raises(asyncio.CancelledError):
            await task
        async with cache.aio.lock("job", ttl=60, wait=10):
            pass


def test_what_a_signals_handler_raises_is_not_a_fault_of_the_data(cache, monkeypatch):
    ns = cache.namespace("test", ttl=100)
    ns.set("key", [uuid.uuid4()])
    json = cache.namespace("test", codec=libcache.JsonCodec())
    json.set("json", {"a": 1})

    def interrupted(*arguments, **keywords):
        signal.raise_signal(signal.SIGUSR1)

    def stop(number, frame):
        raise SystemExit(3)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(uuid.UUID, "__init__", interrupted)
            with pytest.raises(SystemExit):
                ns.get("key")
            patched.setattr("json.loads", interrupted)
            with pytest.raises(SystemExit):
                ns.get("json")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ns.get("json") == {"a": 1}


def test_a_finalizer_may_call_a_function_that_is_being_called(ns, monkeypatch):
    class Flight(loads.Flight):  # made where a collection may run
        def __init__(self):
            super().__init__()
            monkeypatch.undo()
            assert double(2) == 4

    @ns.cached(name="double")
    def double(n):
        return 2 * n

    monkeypatch.setattr(loads, "Flight", Flight)
    thread = threading.Thread(target=double, args=(1,), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


async def test_what_cannot_be_stored_lets_nobody_wait(ns):
    with pytest.raises(libcache.EncodeError) as held:  # it holds the frame in which the load is
        ns.get_or_load("key", object)
    result, _, load, _ = ns.begin("key", wait=0.01)
    assert result == libcache.LEAD and held
    load.abort(False)
    with pytest.raises(libcache.EncodeError) as held:
        await ns.aio.get_or_load("key", lambda: asyncio.sleep(0, object()))
    assert ns.begin("key", wait=0.01)[0] == libcache.LEAD and held


# ---- Keys


def test_a_bound_method_is_refused(ns):
    class Shop:
        @classmethod
        def name(cls):
            return cls.__name__

    class Branch(Shop):
        pass

    with pytest.raises(TypeError, match="bound to an object"):
        ns.cached(Branch.name)
    assert [ns.cached(name=kind.__name__)(kind.name)() for kind in (Shop, Branch)] == ["Shop", "Branch"]


def test_zones_of_one_name_are_told_apart(ns):
    @ns.cached(name="offset")
    def offset(zone):
        return zone.utcoffset(None)

    for hours in (1, 2):
        delta = datetime.timedelta(hours=hours)
        assert offset(datetime.timezone(delta, "X")) == delta


def test_a_partial_of_a_generator_is_refused(ns):
    def numbers(n):
        yield n

    with pytest.raises(TypeError, match="is a generator"):
        ns.cached(name="numbers")(functools.partial(numbers, 1))


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_who_waits_for_a_lock_can_be_interrupted(cache):
    lock = cache.lock("job", ttl=600)
    assert lock.take()
    timer = threading.Timer(0.1, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            cache.lock_take("job", 600, 300)
    finally:
        timer.join()
    assert cache.lock_owner("job")[0] == lock.owner
    lock.free()


def test_a_handler_that_closes_the_cache_ends_a_wait_for_a_lock(cache):
    assert cache.lock("job", ttl=600).take()
    before = signal.signal(signal.SIGINT, lambda *_: cache.close())
    timer = threading.Timer(0.1, interrupt)
    timer.start()
    try:
        with pytest.raises(libcache.Error):
            cache.lock_take("job", 600, 300)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
