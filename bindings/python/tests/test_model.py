"""A cache against a plain dict: TTLs, tags, many, counters, clearing, two namespaces, both tiers. The clock is injected."""

import asyncio
import itertools
import math
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import libcache
from libcache import MISSING

KEYS = st.sampled_from(["a", "b", "c", "d", "\xe9"])
TAGS = st.lists(st.sampled_from(["red", "green", "blue"]), max_size=3)
TTLS = st.sampled_from([None, 1, 2.5, 60, math.inf])
VALUES = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.none(), st.lists(st.integers(0, 3), max_size=3), st.binary(max_size=200))
SPACES = st.sampled_from([0, 1])
DEFAULT_TTL = 30


class Model(RuleBasedStateMachine):
    """What must be there is: nothing is evicted, for there is room. So a miss of what the model has is a fault too."""

    least_ttl = 0
    slack = 0.01
    deletes_what_is_overtaken = False

    def setup_caches(self):
        self.clock = libcache.TestClock()
        self.cache = libcache.Cache(memory_bytes=1 << 20, clock=self.clock)

    @initialize()
    def begin(self):
        self.setup_caches()
        self.spaces = [self.cache.namespace(name, ttl=DEFAULT_TTL) for name in ("one", "two")]
        self.model = {}  # (space, key): (value, end, tags)

    def teardown(self):
        if hasattr(self, "cache"):
            self.cache.close()

    def expected(self, space, key):
        value, end, _ = self.model.get((space, key), (MISSING, math.inf, ()))
        return value if self.clock.now < end else MISSING

    def ttl(self, ttl):
        return None if ttl is None else max(ttl, self.least_ttl)

    def put(self, space, key, value, ttl, tags):
        self.model[space, key] = (value, self.clock.now + (DEFAULT_TTL if ttl is None else ttl), tags)

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, tags=TAGS)
    def set(self, space, key, value, ttl, tags):
        ttl = self.ttl(ttl)
        self.spaces[space].set(key, value, ttl, tags)
        self.put(space, key, value, ttl, tags)

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, tags=TAGS)
    def add(self, space, key, value, ttl, tags):
        ttl = self.ttl(ttl)
        there = self.expected(space, key) is not MISSING
        assert self.spaces[space].add(key, value, ttl, tags) is not there
        if not there:
            self.put(space, key, value, ttl, tags)

    @rule(space=SPACES, values=st.dictionaries(KEYS, VALUES), ttl=TTLS, tags=TAGS)
    def set_many(self, space, values, ttl, tags):
        ttl = self.ttl(ttl)
        self.spaces[space].set_many(values, ttl, tags)
        for key, value in values.items():
            self.put(space, key, value, ttl, tags)

    @rule(space=SPACES, keys=st.lists(KEYS))
    def get_many(self, space, keys):
        expected = {key: self.expected(space, key) for key in keys}
        assert self.spaces[space].get_many(keys) == {key: value for key, value in expected.items() if value is not MISSING}

    @rule(space=SPACES, key=KEYS)
    def get(self, space, key):
        expected = self.expected(space, key)
        assert self.spaces[space].get(key, MISSING) == expected
        assert (key in self.spaces[space]) == (expected is not MISSING)

    @rule(space=SPACES, key=KEYS)
    def delete(self, space, key):
        there = self.expected(space, key) is not MISSING
        deleted = self.spaces[space].delete(key)
        assert deleted == there or (deleted and self.deletes_what_is_overtaken)
        self.model.pop((space, key), None)

    @rule(space=SPACES, keys=st.sets(KEYS))
    def delete_many(self, space, keys):
        there = sum(self.expected(space, key) is not MISSING for key in keys)
        deleted = self.spaces[space].delete_many(keys)
        assert deleted == there or (deleted > there and self.deletes_what_is_overtaken)
        for key in keys:
            self.model.pop((space, key), None)

    @rule(space=SPACES, key=KEYS, ttl=TTLS)
    def touch(self, space, key, ttl):
        ttl = self.ttl(ttl)
        value = self.expected(space, key)
        assert self.spaces[space].touch(key, ttl) == (value is not MISSING)
        if value is not MISSING:
            self.put(space, key, value, ttl, self.model[space, key][2])

    @rule(space=SPACES, key=KEYS)
    def ttl_left(self, space, key):
        left = self.spaces[space].ttl_left(key)
        if self.expected(space, key) is MISSING:
            assert left is None
        else:
            end = self.model[space, key][1]
            assert left == end if end == math.inf else abs(left - (end - self.clock.now)) < self.slack

    @rule(space=SPACES, key=KEYS, delta=st.integers(-3, 3), ttl=TTLS, tags=TAGS)
    def count(self, space, key, delta, ttl, tags):
        ttl = self.ttl(ttl)
        before = self.expected(space, key)
        if before is MISSING:
            assert self.spaces[space].incr(key, delta, ttl, tags) == delta
            self.put(space, key, delta, ttl, tags)
        elif type(before) is int:
            assert self.spaces[space].incr(key, delta, ttl, tags) == before + delta
            self.model[space, key] = (before + delta, *self.model[space, key][1:])

    @rule(tag=st.sampled_from(["red", "green", "blue"]))
    def invalidate(self, tag):
        self.cache.invalidate(tag)
        self.model = {at: entry for at, entry in self.model.items() if tag not in entry[2]}

    @rule(space=SPACES)
    def clear(self, space):
        self.spaces[space].clear()
        self.model = {at: entry for at, entry in self.model.items() if at[0] != space}

    @rule()
    def clear_all(self):
        self.cache.clear()
        self.model = {}

    @rule(seconds=st.sampled_from([0.5, 1, 2.5, 30]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule(space=SPACES, key=KEYS, value=VALUES, tags=TAGS, tag=st.sampled_from(["red", "green", None]))
    def load(self, space, key, value, tags, tag):
        """One that is overtaken by an invalidation of `tag` while it is under way."""
        result, found, load, *_ = self.spaces[space].begin(key)
        expected = self.expected(space, key)
        if expected is not MISSING:
            assert (found, load) == (expected, None)
            return
        assert result == libcache.LEAD
        if tag:
            self.invalidate(tag)
        assert load.commit(value, None, tags) == (tag not in tags)
        if tag not in tags:
            self.put(space, key, value, None, tags)

    @rule(key=KEYS)
    def await_it(self, key):
        async def get():
            return await self.spaces[0].aio.get(key, MISSING)

        assert asyncio.run(get()) == self.expected(0, key)

    @invariant()
    def nothing_else_is_there(self):
        if hasattr(self, "model"):
            assert self.cache.stats()["evictions"] == 0


EXAMPLES = int(os.environ.get("LIBCACHE_TEST_EXAMPLES", 25))


def run(machine, examples, steps):
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()


def test_one_cache():
    run(Model, EXAMPLES, 40)


class ModelOfTwoHosts(Model):
    """The same in front of a Redis: one host writes; after it has read the log, the other sees what the first does."""

    server = None
    runs = itertools.count()
    least_ttl = 60  # Redis has a clock of its own, which nobody here can move
    slack = 20
    deletes_what_is_overtaken = True  # what an invalidation has overtaken lies in Redis until its end, and a delete finds it

    def setup_caches(self):
        self.clock = libcache.TestClock()
        options = {"memory_bytes": 1 << 20, "clock": self.clock, "listen": False, "max_staleness": 3600, "poll_interval": 3000,
                   "redis_timeout": 5}
        prefix = f"model-{os.getpid()}-{next(self.runs)}"
        self.cache = libcache.Cache(self.server.url, redis_prefix=prefix, **options)
        self.other = libcache.Cache(self.server.url, redis_prefix=prefix, **options)
        self.others = [self.other.namespace(name, ttl=DEFAULT_TTL) for name in ("one", "two")]

    def teardown(self):
        super().teardown()
        if hasattr(self, "other"):
            self.other.close()

    advance = None
    load = None

    @rule(space=SPACES, key=KEYS)
    def get_there(self, space, key):
        assert self.other.poll()
        assert self.others[space].get(key, MISSING) == self.expected(space, key)

    @rule(space=SPACES, keys=st.lists(KEYS))
    def await_many_there(self, space, keys):
        async def get():
            return await asyncio.gather(*[self.others[space].aio.get(key, MISSING) for key in keys])

        assert self.other.poll()
        assert asyncio.run(get()) == [self.expected(space, key) for key in keys]


def test_two_hosts(server):
    ModelOfTwoHosts.server = server
    run(ModelOfTwoHosts, EXAMPLES // 2, 25)
