"""Cache and Namespace: what each call does, and what is said of wrong arguments."""

import datetime
import gc
import json
import math
import os
import pathlib
import re
import threading
import time
import weakref

import pytest

import libcache
from libcache import MISSING


def test_a_value_is_given_back(ns):
    ns.set("key", {"a": 1})
    assert ns.get("key") == {"a": 1}
    assert ns["key"] == {"a": 1}
    assert "key" in ns
    assert ns.exists("key")


def test_none_is_a_value_and_missing_is_not(ns):
    ns.set("key", None)
    assert ns.get("key", MISSING) is None
    assert ns.get("absent", MISSING) is MISSING
    assert ns.get("absent") is None
    assert not MISSING
    with pytest.raises(KeyError, match="absent"):
        ns["absent"]
    with pytest.raises(KeyError, match="absent"):
        del ns["absent"]


def test_text_and_bytes_are_the_same_key(ns):
    ns.set("k\xe9y", 1)
    assert ns.get("k\xe9y".encode()) == 1


def test_every_get_gives_an_object_of_its_own(ns):
    ns.set("key", [1])
    ns.get("key").append(2)
    assert ns.get("key") == [1]


def test_large_values(cache):
    ns = cache.namespace("large", max_value_bytes=100_000)
    for size in (0, 1, 127, 128, 129, 1023, 1024, 1025, 5000, 100_000):
        for value in (b"x" * size, "\xe9" * (size // 2)):
            ns.set("key", value)
            assert ns.get("key") == value
    with pytest.raises(libcache.TooBigError):
        ns.set("key", b"x" * 100_001)


def test_buffers_are_stored_as_bytes(ns):
    for value in (bytearray(b"abc"), memoryview(b"xabcx")[1:4]):
        ns.set("key", value)
        assert ns.get("key") == b"abc"


def test_entries_end_with_their_ttl(ns, clock):
    ns.set("policy", 1)
    ns.set("own", 1, ttl=datetime.timedelta(minutes=5))
    ns.set("ever", 1, ttl=math.inf)
    assert ns.ttl_left("own") == 300
    assert ns.ttl_left("ever") == math.inf
    assert ns.ttl_left("absent") is None
    clock.advance(99.999)
    assert ns.get("policy") == 1
    clock.advance(0.001)
    assert ns.get("policy") is None
    assert ns.get("own") == 1
    assert ns.touch("own", 10)
    clock.advance(10)
    assert ns.get("own") is None
    assert not ns.touch("own")
    clock.advance(10**8)
    assert ns.get("ever") == 1


def test_lookup_says_all_there_is(ns, clock):
    ns.set("key", "x")
    clock.advance(3)
    assert ns.lookup("key") == (libcache.HIT, "x", 3.0, 97.0, 1, 1, 0)
    assert ns.lookup("absent").result == libcache.MISS
    ns.set_negative("gone", ttl=5)
    found = ns.lookup("gone")
    assert (found.result, found.value, found.ttl_left) == (libcache.NEGATIVE, None, 5.0)
    assert ns.get("gone", "default") == "default"


def test_stale_values_are_told_from_fresh_ones(cache, clock):
    ns = cache.namespace("stale", ttl=100, soft_ttl=10)
    ns.set("key", 1)
    clock.advance(11)
    assert ns.lookup("key").result == libcache.STALE
    assert ns.get("key") == 1


def test_add_stores_only_what_is_not_there(ns):
    assert ns.add("key", 1)
    assert not ns.add("key", 2)
    assert ns.get("key") == 1


def test_counters(ns, clock):
    assert ns.incr("n") == 1
    assert ns.incr("n", 10, ttl=50) == 11
    assert ns.decr("n", 2) == 9
    assert ns.get("n") == 9
    ns.set("set", 5)
    assert ns.incr("set") == 6
    ns.set("text", "abc")
    with pytest.raises(libcache.NumberError):
        ns.incr("text")
    ns.set("top", 2**63 - 1)
    with pytest.raises(libcache.NumberError):
        ns.incr("top")
    assert ns.get("top") == 2**63 - 1
    with pytest.raises(OverflowError):
        ns.incr("n", 2**63)


def test_many(ns):
    ns.set_many({"a": 1, b"b": [2], "c": "three"}, tags=["t"])
    ns.set_many([("d", 4)])
    assert ns.get_many(["a", b"b", "c", "d", "e"]) == {"a": 1, b"b": [2], "c": "three", "d": 4}
    assert ns.get_many([]) == {}
    ns.cache.invalidate("t")
    assert ns.get_many(iter(["a", "d"])) == {"d": 4}
    assert ns.delete_many(["d", "a", "e"]) == 1
    with pytest.raises(libcache.EncodeError):
        ns.set_many({"a": 1, "x": object()})
    assert ns.get("a") is None


def test_tags_namespaces_and_everything(cache, ns):
    other = cache.namespace("other")
    ns.set("one", 1, tags=["red", b"small"])
    ns.set("two", 2, tags={"blue"})
    ns.set("three", 3)
    other.set("four", 4, tags=("red",))
    cache.invalidate("red")
    assert [ns.get("one"), ns.get("two"), ns.get("three"), other.get("four")] == [None, 2, 3, None]
    other.set("four", 4)
    ns.clear()
    assert [ns.get("two"), ns.get("three"), other.get("four")] == [None, None, 4]
    cache.clear()
    assert other.get("four") is None


def test_a_load_that_was_overtaken_is_not_kept(cache, ns):
    result, value, load, *_ = ns.begin("key")
    assert (result, value) == (libcache.LEAD, None)
    cache.invalidate("row:1")
    assert load.commit({"old": True}, tags=["row:1"]) is False
    assert ns.get("key") is None
    assert load.ended
    load.abort()
    with pytest.raises(libcache.InvalidError, match="ended before"):
        load.commit(1)


def test_a_load_that_failed_is_not_tried_at_once(ns, clock):
    with pytest.raises(ZeroDivisionError):
        ns.get_or_load("key", lambda: 1 / 0)
    with pytest.raises(libcache.LoadError):
        ns.get_or_load("key", lambda: 1)
    clock.advance(2)
    assert ns.get_or_load("key", lambda: 1) == 1


def test_a_load_that_cannot_be_encoded_can_still_be_ended(ns):
    _, _, load, *_ = ns.begin("key")
    with pytest.raises(libcache.EncodeError):
        load.commit(object())
    assert not load.ended
    assert load.commit(1)
    assert ns.get("key") == 1


def test_a_load_that_is_dropped_is_given_up(ns):
    _, _, load, *_ = ns.begin("key")
    del load
    assert ns.begin("key")[0] == libcache.LEAD


def test_missing_at_the_source(ns):
    assert ns.get_or_load("key", lambda: MISSING, default="none") == "none"
    assert ns.get_or_load("key", lambda: pytest.fail("it is known to be missing"), default=3) == 3


def test_one_thread_loads_for_all(ns):
    loading, go_on, runs = threading.Event(), threading.Event(), []

    def load():
        runs.append(1)
        loading.set()
        assert go_on.wait(10)
        return "value"

    got = []
    threads = [threading.Thread(target=lambda: got.append(ns.get_or_load("key", load))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert loading.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert got == ["value"] * 8
    assert runs == [1]


def test_locks(cache):
    with cache.lock("job", ttl=30) as lock:
        assert cache.lock_owner("job")[0] == lock.owner
        assert not cache.lock("job", ttl=30).take()
        with pytest.raises(TimeoutError, match="job"):
            cache.lock("job", ttl=30).__enter__()
        again = cache.lock("job", ttl=30, owner=lock.owner)
        assert again.take()
        lock.keep()
        assert cache.lock_break("job")
        with pytest.raises(libcache.LostError):
            lock.keep()
    assert cache.lock_owner("job") is None
    with pytest.raises(ValueError, match="32 characters"):
        cache.lock("job", ttl=1, owner="me").take()


def test_rates(cache):
    hits = [cache.rate_hit("api", 2, 60) for _ in range(3)]
    assert [(hit.allowed, hit.remaining) for hit in hits] == [(True, 1), (True, 0), (False, 0)]


def test_what_an_operator_sees(cache, ns):
    ns.set("key", 1, tags=["t"])
    ns.get("key")
    ns.get("absent")
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["sets"]) == (1, 1, 1)
    assert [(e.namespace, e.key) for e in cache.entries()] == [("test", b"key")]
    assert ns.policy()["ttl"] == 100
    assert cache.sweep() == 0
    assert cache.poll() is True


def test_metrics_are_the_cores(cache, ns):
    ns.set("key", 1), ns.get("key"), ns.get("absent")
    text = cache.metrics()
    assert 'libcache_reads_total{namespace="test",tier="l1",result="hit"} 1\n' in text and text.endswith("\n# EOF\n")
    assert set(json.loads(cache.metrics(json=True))) >= {"namespaces", "segment", "process"}
    with pytest.raises(TypeError):
        cache.metrics(True)
    cache.close()
    with pytest.raises(libcache.ClosedError):
        cache.metrics()


def test_counts_of_all_processes_by_namespace(name):
    with libcache.Cache(name=name, memory_bytes=4 << 20) as cache:
        ns, other = cache.namespace("one", ttl=60), cache.namespace("other", ttl=60)
        ns.set("key", 1), other.set("key", 1)
        child = os.fork()
        if not child:
            ns.get("key"), ns.get("key"), ns.get("absent")
            os._exit(0)
        os.waitpid(child, 0)
        ns.get("key")
        assert cache.stats()["hits"] == 1  # of this process
        assert (ns.stats()["hits_l1"], ns.stats()["miss_cold"], ns.stats()["entries"]) == (3, 1, 1)
        assert cache.namespace_stats() == {"one": ns.stats(), "other": other.stats()}
        assert (cache.sum_stats()["hits_l1"], cache.sum_stats()["sets"]) == (3, 2)


@pytest.mark.parametrize(
    ("field", "of"), [("libcache_stats", libcache.Cache.stats), ("libcache_ns_stats", libcache.Cache.sum_stats)]
)
def test_statistics_have_all_that_the_core_counts(cache, field, of):
    header = pathlib.Path(__file__).parents[3] / "include" / "libcache.h"
    body = re.search(rf"typedef struct {field} {{(.*?)}} {field};", header.read_text(), re.S)[1]
    declared = re.findall(r"^\s*(?:uint64_t|unsigned) ([^;]+);", re.sub(r"/\*.*?\*/", "", body, flags=re.S), re.M)
    assert set(of(cache)) == {name.strip() for names in declared for name in names.split(",")}


@pytest.mark.parametrize(
    ("error", "says", "call"),
    [
        (TypeError, "key must be str or bytes, not int", lambda ns: ns.get(5)),
        (TypeError, "get\\(\\) takes", lambda ns: ns.get()),
        (libcache.InvalidError, "key", lambda ns: ns.get("")),
        (libcache.InvalidError, "key", lambda ns: ns.set("k" * 5000, 1)),
        (UnicodeEncodeError, "surrogates", lambda ns: ns.get("\udc80")),
        (UnicodeEncodeError, "surrogates", lambda ns: ns.set("a", "\udc80")),
        (libcache.EncodeError, "object cannot be stored", lambda ns: ns.set("a", object())),
        (ValueError, "ttl must be more than 0", lambda ns: ns.set("a", 1, ttl=0)),
        (ValueError, "ttl is not a number", lambda ns: ns.set("a", 1, ttl=math.nan)),
        (ValueError, "ten years", lambda ns: ns.set("a", 1, ttl=10**10)),
        (TypeError, "ttl must be seconds", lambda ns: ns.set("a", 1, ttl="1")),
        (TypeError, "ttl must be seconds", lambda ns: ns.set("a", 1, ttl=True)),
        (TypeError, "not one tag", lambda ns: ns.set("a", 1, tags="abc")),
        (TypeError, "tag must be str or bytes", lambda ns: ns.set("a", 1, tags=[1])),
        (libcache.InvalidError, "65 tags", lambda ns: ns.set("a", 1, tags=[str(i) for i in range(65)])),
        (TypeError, "unexpected keyword argument 'foo'", lambda ns: ns.set("a", 1, foo=1)),
        (TypeError, "multiple values", lambda ns: ns.set("a", 1, value=1)),
        (TypeError, "needs the argument 'value'", lambda ns: ns.set("a")),
        (TypeError, "not one key", lambda ns: ns.delete_many("abc")),
        (ValueError, "mapping or pairs", lambda ns: ns.set_many([(1, 2, 3)])),
        (TypeError, "no option 'bogus'", lambda ns: libcache.Cache(bogus=1)),
        (ValueError, "out of range", lambda ns: libcache.Cache(memory_bytes=-1)),
        (libcache.Error, "rediss", lambda ns: libcache.Cache("rediss://x")),
        (libcache.InvalidError, "", lambda ns: libcache.Cache("http://x")),
        (libcache.Error, "", lambda ns: libcache.Cache(name="no-such-segment-here", attach=True)),
        (ValueError, "attach needs a name", lambda ns: libcache.Cache(attach=True)),
        (libcache.InvalidError, "", lambda ns: ns.cache.namespace("x", ttl=10, soft_ttl=20)),
        (TypeError, "codec or a type", lambda ns: ns.cache.namespace("x", codec=libcache.JsonCodec(), type=int)),
        (ValueError, "limit must not be negative", lambda ns: ns.cache.rate_hit("a", -1, 1)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(ns, error, says, call):
    with pytest.raises(error, match=says):
        call(ns)


def test_a_closed_cache_says_so(ns):
    assert not ns.cache.closed
    _, _, load, *_ = ns.begin("open")
    entries = ns.cache.entries()
    ns.cache.close()
    ns.cache.close()
    assert ns.cache.closed
    for call in (lambda: ns.get("a"), lambda: ns.set("a", 1), ns.cache.stats, ns.clear, lambda: load.commit(1), lambda: next(entries)):
        with pytest.raises(libcache.ClosedError):
            call()


def test_a_cache_is_not_closed_under_calls_of_others(own_server):
    """Calls that wait for Redis while the cache is closed end as they would have; the handle goes with the last of them."""
    for _ in range(3):
        cache = own_server.cache(redis_timeout=0.3)
        ns = cache.namespace("test")
        ns.set("key", 1)
        own_server.pause()
        results = []

        def work(n):
            try:
                results.append(ns.get(f"absent {n}", "missing"))
            except libcache.ClosedError:
                results.append("closed")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        cache.close()
        with pytest.raises(libcache.ClosedError):
            ns.get("key")
        for thread in threads:
            thread.join(10)
        own_server.go_on()
        assert len(results) == 4
        assert "missing" in results, "they were under way"


def test_handles_go_with_their_last_reference(clock):
    cache = libcache.Cache(memory_bytes=1 << 20, clock=clock)
    ns = cache.namespace("test")
    seen = weakref.ref(cache), weakref.ref(ns)
    del cache
    ns.set("key", 1)
    assert ns.get("key") == 1
    del ns
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_the_memo_gives_the_same_object_until_the_entry_is_another(cache, clock):
    ns = cache.namespace("memo", ttl=100, memo=10)
    ns.set("key", [1], tags=["t"])
    first = ns.get("key")
    assert ns.get("key") is first
    ns.set("key", [2])
    assert ns.get("key") == [2]
    ns.set("key", [3], tags=["t"])
    third = ns.get("key")
    cache.invalidate("t")
    assert ns.get("key") is None
    ns.set("key", third)
    assert ns.get("key") is not third
    clock.advance(101)
    assert ns.get("key") is None
    assert ns.incr("n") == 1
    assert ns.get("n") == 1
    assert ns.incr("n") == 2
    assert ns.get("n") == 2
    for i in range(100):
        ns.set(f"k{i}", i)
        assert ns.get(f"k{i}") == i
    ns.delete("k99")
    assert ns.get("k99") is None


def test_the_memo_hears_of_other_processes(name):
    with libcache.Cache(name=name, memory_bytes=1 << 20) as one, libcache.Cache(name=name, memory_bytes=1 << 20) as other:
        memo, plain = one.namespace("n", memo=10), other.namespace("n")
        plain.set("key", [1])
        assert memo.get("key") is memo.get("key")
        plain.set("key", [2])
        assert memo.get("key") == [2]
        plain.delete("key")
        assert memo.get("key") is None
