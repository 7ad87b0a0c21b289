"""Refreshes among hosts: Redis is looked at first, and with load_lease=2 one host refreshes. Two caches without a name are two hosts."""

import asyncio
import threading
import time

import pytest

import libcache
from conftest import wait_for
from libcache import HIT, MISS, NEGATIVE, STALE

FRESH = dict(ttl=60, load_timeout=60, load_lease=2)
POLICY = dict(FRESH, soft_ttl=0.001)  # each host judges by its own soft TTL


@pytest.fixture
def hosts(server):
    with server.cache() as one, server.cache() as other:
        yield one, other


def is_old(found, value):
    """Past its soft TTL by Redis's clock too, as far as this host knows that one."""
    return found[:2] == (STALE, value) and found.age > 0.1


def stale_pair(hosts, **policy):
    """A namespace on each; both have "key", "old" and past its soft TTL."""
    a, b = (host.namespace("pair", **{**POLICY, **policy}) for host in hosts)
    a.set("key", "old")
    for ns in (a, b):
        wait_for(lambda ns=ns: ns.get("key") == "old" and is_old(ns.lookup("key"), "old"))
    return a, b


@pytest.fixture
def pair(hosts):
    return stale_pair(hosts)


def begin_stale(ns):
    result, value, load, _ = ns.begin("key")
    assert (result, value) == (STALE, "old") and load is not None
    return load


def recheck(load, how):
    if how == "sync":
        return load.recheck()

    async def main():
        return await load.recheck_async()

    return asyncio.run(main())


both = pytest.mark.parametrize("how", ["sync", "async"])


@both
def test_one_of_two_hosts_is_to_refresh(pair, how):
    mine, theirs = begin_stale(pair[0]), begin_stale(pair[1])
    assert recheck(mine, how) == (MISS, None, 0) and not mine.ended
    assert recheck(theirs, how) == (STALE, None, 0) and theirs.ended
    with pytest.raises(libcache.InvalidError, match="ended"):
        theirs.recheck()
    assert mine.commit("new") and pair[0].get("key") == "new"


@both
def test_without_a_lease_of_all_hosts_each_refreshes(hosts, how):
    for load in [begin_stale(ns) for ns in stale_pair(hosts, load_lease=1)]:
        assert recheck(load, how) == (MISS, None, 0)
        load.abort(False)


@both
def test_what_another_host_has_refreshed_is_not_loaded_again(hosts, how):
    for _ in range(20):
        a, b = stale_pair(hosts, soft_ttl=0.3)
        theirs = begin_stale(b)
        begun = time.monotonic()
        a.set("key", "new")
        found = recheck(theirs, how)
        if time.monotonic() - begun < 0.25:  # else it may be past its soft TTL by now
            break
    assert found == (HIT, "new", 0) and theirs.ended


@both
def test_what_another_host_has_found_missing_is_not_loaded_again(pair, how):
    a, b = pair
    theirs = begin_stale(b)
    a.set_negative("key")
    assert recheck(theirs, how) == (NEGATIVE, None, 0) and theirs.ended


@both
def test_what_cannot_be_decoded_is_not_given_out(server, hosts, how):
    with server.cache() as another:
        raw = another.namespace("pair", **FRESH, encode=lambda value: (value, 3), decode=lambda data, codec: data)
        for _ in range(20):
            _, b = stale_pair(hosts, soft_ttl=0.3)
            theirs = begin_stale(b)
            begun = time.monotonic()
            before = b.decode_errors
            raw.set("key", b"\xc1")  # no MessagePack
            found = recheck(theirs, how)
            if time.monotonic() - begun < 0.25:
                break
        assert found == (STALE, None, 0) and theirs.ended
        assert b.decode_errors == before + 1
        assert b.get_or_load("key", lambda: "loaded") == "loaded"


@both
def test_without_redis_there_is_nothing_to_look_at(cache, clock, how):
    ns = cache.namespace("alone", ttl=60, soft_ttl=10)
    ns.set("key", "old")
    clock.advance(20)
    load = begin_stale(ns)
    assert recheck(load, how) == (MISS, None, 0) and not load.ended
    assert load.commit("new") and ns.get("key") == "new"


def test_a_recheck_that_is_cancelled_gives_its_load_up(pair):
    a, _ = pair
    load = begin_stale(a)

    async def main():
        waiting = load.recheck_async()
        waiting.cancel()
        assert load.ended
        while a.begin("key")[2] is None:  # somebody has it: not given up yet
            await asyncio.sleep(0.002)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_outside_of_a_loop_a_load_is_given_up_at_once(pair):
    load = begin_stale(pair[0])
    with pytest.raises(RuntimeError, match="loop"):
        load.commit_async("new")
    assert load.ended
    wait_for(lambda: pair[0].begin("key")[2] is not None)


def test_get_or_load_refreshes_on_one_host(pair):
    a, b = pair
    ran = []

    def load_while_the_other_asks():
        ran.append("a")
        assert b.get_or_load("key", lambda: ran.append("b")) == "old"
        return "new"

    assert a.get_or_load("key", load_while_the_other_asks) == "new"
    assert ran == ["a"]


def test_get_or_load_takes_what_another_host_has_found_missing(pair, monkeypatch):
    a, b = pair
    begin = libcache.Namespace.begin

    def then_the_other_is_quicker(ns, *args):
        begun = begin(ns, *args)
        assert begun[0] == STALE
        a.set_negative("key")
        return begun

    monkeypatch.setattr(libcache.Namespace, "begin", then_the_other_is_quicker)
    assert b.get_or_load("key", lambda: pytest.fail("loaded"), default="none") == "none"


def test_get_or_load_of_coroutines_refreshes_on_one_host(pair):
    a, b = pair
    ran = []

    async def main():
        async def other():
            ran.append("b")

        async def load_while_the_other_asks():
            ran.append("a")
            assert await b.aio.get_or_load("key", other) == "old"
            return "new"

        assert await a.aio.get_or_load("key", load_while_the_other_asks) == "new"

    asyncio.run(main())
    assert ran == ["a"]


def test_an_early_refresh_that_fails_harms_nobody(cache, clock):
    ns = cache.namespace("early", ttl=60, soft_ttl=10)
    ns.set("key", "old")
    clock.advance(20)

    def fail():
        raise OSError

    assert ns.get_or_load("key", fail) == "old"


# ---- Decorated functions


def decorated(hosts, find):
    """The function on each of two hosts, and their namespaces."""
    spaces = [host.namespace("functions", **POLICY) for host in hosts]
    return *(ns.cached(name="find")(find(name)) for ns, name in zip(spaces, "ab")), spaces


def all_have(spaces, key, value):
    return all(is_old(ns.lookup(key), value) for ns in spaces)


def test_decorated_functions_refresh_on_one_host(hosts):
    go, inside, ran = threading.Event(), threading.Event(), []

    def find(name):
        def find(n):
            ran.append(name)
            if len(ran) > 1:
                inside.set()
                assert go.wait(10)
            return len(ran)

        return find

    a, b, spaces = decorated(hosts, find)
    assert a(1) == 1
    wait_for(lambda: all_have(spaces, a.cache_key(1), 1))
    assert a(1) == 1 and inside.wait(10)
    before = hosts[1].stats()["l2_exchanges"]
    assert b(1) == 1
    wait_for(lambda: hosts[1].stats()["l2_exchanges"] > before and b(1) == 1)
    go.set()
    wait_for(lambda: all_have(spaces[:1], a.cache_key(1), 2))
    assert ran == ["a", "a"]
    assert a.cache_info().refreshes == 1 and b.cache_info().refreshes == 0


def test_decorated_coroutines_refresh_on_one_host(hosts):
    ran = []

    async def main():
        go, inside = asyncio.Event(), asyncio.Event()

        def find(name):
            async def find(n):
                ran.append(name)
                if len(ran) > 1:
                    inside.set()
                    await go.wait()
                return len(ran)

            return find

        a, b, spaces = decorated(hosts, find)
        assert await a(1) == 1
        while not all_have(spaces, a.cache_key(1), 1):
            await asyncio.sleep(0.001)
        assert await a(1) == 1
        await inside.wait()
        before = hosts[1].stats()["l2_exchanges"]
        assert await b(1) == 1
        while hosts[1].stats()["l2_exchanges"] == before:
            await asyncio.sleep(0.002)
        go.set()
        while not all_have(spaces[:1], a.cache_key(1), 2):
            await asyncio.sleep(0.002)
        assert ran == ["a", "a"]
        assert a.cache_info().refreshes == 1 and b.cache_info().refreshes == 0

    asyncio.run(asyncio.wait_for(main(), 20))


@both
def test_what_another_host_has_refreshed_is_taken_where_refresh_says_how_old_is_too_old(hosts, how):
    ran = []

    def make(name):
        def find(n):
            ran.append(name)
            return len(ran)

        async def find_async(n):
            return find(n)

        return find if how == "sync" else find_async

    a, b = [host.namespace("aged", **FRESH) for host in hosts]
    one, other = (ns.cached(name="find", refresh=0.5)(make(name)) for ns, name in ((a, "a"), (b, "b")))

    async def call(function, n):
        found = function(n)
        return found if how == "sync" else await found

    async def until(condition):
        while not condition():
            await asyncio.sleep(0.001)

    async def main(n):
        ran.clear()
        key = one.cache_key(n)
        assert await call(one, n) == 1 and await call(other, n) == 1
        await until(lambda: all((ns.lookup(key).age or 0) > 0.5 for ns in (a, b)))
        begun = time.monotonic()
        for function, ns in ((one, a), (other, b)):
            while ns.get(key) == 1:  # once, unless Redis finds it younger than we do, or the first still holds the lease
                assert await call(function, n) in (1, 2)
                await asyncio.sleep(0.001)
        return time.monotonic() - begun < 0.4  # else what the first has refreshed may be too old by then

    for n in range(20):
        if asyncio.run(asyncio.wait_for(main(n), 20)):
            break
        ran.clear()
    assert ran == ["a", "a"] and b.get(one.cache_key(n)) == 2
    assert other.cache_info().refreshes == 0 or n
