"""@cached on sync functions: who waits for whom, and what is refreshed while an older value is given out."""

import multiprocessing
import os
import threading

import pytest

import libcache
from conftest import wait_for
from test_decorator import NotFound, Source


def loads_of(function):
    """What is behind a decorated function."""
    return next(c.cell_contents for c in function.cache_info.__closure__ if hasattr(c.cell_contents, "flights"))


# ---- Stale values ------------------------------------------------------------------------------------------------------------------------


def test_older_than_refresh_is_given_out_and_refreshed_behind(ns, clock):
    source = Source()
    find = ns.cached(ttl=60, refresh=10)(lambda a: source(a))
    find(1)
    clock.advance(9)
    assert find(1)["n"] == 1 and len(source.asked) == 1
    clock.advance(2)
    assert find(1)["n"] == 1  # at once, and the older one
    wait_for(lambda: find.cache_info().refreshes == 1 and find(1)["n"] == 2)
    assert len(source.asked) == 2


def test_a_soft_ttl_of_the_namespace_does_the_same(cache, clock):
    source = Source()
    ns = cache.namespace("soft", ttl=60, soft_ttl=10)
    find = ns.cached(lambda a: source(a))
    find(1)
    clock.advance(11)
    assert find(1)["n"] == 1
    wait_for(lambda: find(1)["n"] >= 2)
    assert find.cache_info().stale >= 1 and find.cache_info().misses == 1


def test_within_the_grace_an_older_value_is_better_than_a_failure(cache, clock):
    asked = []

    @cache.namespace("grace", ttl=10, grace=100).cached(name="find")
    def find():
        asked.append(1)
        if len(asked) > 1:
            raise OSError("the database is away")
        return "old"

    find()
    clock.advance(50)
    assert find() == "old"
    wait_for(lambda: len(asked) == 2)
    assert find() == "old"
    clock.advance(100)
    with pytest.raises(OSError):
        find()


def test_values_are_refreshed_early_where_the_namespace_says_so(cache, clock):
    """XFetch: shortly before its end a value that took long to load is loaded again, and nobody waits for it."""
    asked = []
    ns = cache.namespace("early", ttl=10, early_percent=1000)

    @ns.cached(name="find")
    def find():
        asked.append(1)
        clock.advance(0.1)
        return len(asked)

    assert find() == 1
    clock.advance(9.5)
    wait_for(lambda: find() >= 2)
    assert find.cache_info().misses == 1 and find.cache_info().refreshes >= 1


def test_a_forked_child_waits_for_nothing_of_its_parents(ns):
    go = threading.Event()

    @ns.cached(name="find", refresh=10)
    def find(a):
        go.wait(10)
        return a

    parent = threading.Thread(target=find, args=(1,))
    parent.start()
    control = loads_of(find)
    wait_for(lambda: control.flights)
    control.refreshing.add(b"x")
    with control.lock:
        child = os.fork()
        if not child:
            try:
                os._exit(0 if not control.lock._is_owned() and not control.flights and not control.refreshing else 1)
            finally:
                os._exit(2)
    go.set()
    parent.join(10)
    assert os.waitpid(child, 0)[1] == 0


def test_one_refresh_at_a_time(ns, clock):
    go, asked = threading.Event(), []

    @ns.cached(ttl=60, refresh=10)
    def find():
        asked.append(1)
        if len(asked) > 1:
            assert go.wait(5)
        return len(asked)

    find()
    clock.advance(11)
    begun = []
    loads = loads_of(find)
    loads.refresh_aged = lambda *args, so_far=loads.refresh_aged: begun.append(1) or so_far(*args)
    assert [find() for _ in range(50)] == [1] * 50
    wait_for(lambda: len(asked) == 2)
    assert len(begun) == 1
    go.set()
    wait_for(lambda: find() == 2)
    assert len(asked) == 2


def test_a_refresh_that_fails_leaves_the_older_value(ns, clock, caplog):
    asked = []

    @ns.cached(ttl=60, refresh=10)
    def find():
        asked.append(1)
        if len(asked) > 1:
            raise OSError("the database is away")
        return "old"

    find()
    clock.advance(11)
    assert find() == "old"
    wait_for(lambda: "its refresh failed" in caplog.text)
    assert find() == "old"


def test_with_a_session_among_the_arguments_a_refresh_is_done_at_once(ns, clock):
    sessions = pytest.importorskip("sqlalchemy.orm")
    threads = []

    @ns.cached(ttl=60, refresh=10)
    def find(a, session):
        threads.append(threading.current_thread())
        return len(threads)

    find(1, sessions.Session())
    clock.advance(11)
    assert find(1, sessions.Session()) == 2
    assert threads == [threading.current_thread()] * 2


# ---- Single flight -----------------------------------------------------------------------------------------------------------------------


def in_threads(n, function):
    found = [None] * n

    def run(i):
        try:
            found[i] = function(i)
        except Exception as error:
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return found


def waiting(cache, n):
    return lambda: cache.stats()["load_waits"] >= n


def test_threads_that_ask_at_once_load_once(cache, ns):
    asked = []

    @ns.cached
    def find(a):
        asked.append(a)
        wait_for(waiting(cache, 15))
        return a

    assert in_threads(16, lambda i: find(1)) == [1] * 16
    assert asked == [1]


def test_what_a_load_raised_is_for_all_who_waited_and_for_nobody_after(cache, ns):
    asked = []

    @ns.cached
    def find(a):
        asked.append(a)
        wait_for(waiting(cache, 15))
        raise NotFound(len(asked))

    raised = in_threads(16, lambda i: find(1))
    assert [type(e) for e in raised] == [NotFound] * 16
    assert [e.args for e in raised] == [(1,)] * 16
    assert len(asked) == 1
    with pytest.raises(NotFound) as error:
        find(1)
    assert error.value.args == (2,)


def test_without_lock_each_loads_for_itself(ns):
    inside = threading.Barrier(4, timeout=10)

    @ns.cached(lock=False)
    def find(a):
        inside.wait()
        return a

    assert in_threads(4, lambda i: find(1)) == [1] * 4


def test_who_has_waited_long_enough_loads_too(ns):
    first, done = threading.Event(), threading.Event()

    @ns.cached(wait=0.05)
    def find():
        if first.is_set():
            done.set()
            return 2
        first.set()
        assert done.wait(10)
        return 1

    assert sorted(in_threads(2, lambda i: find())) == [1, 2]


def count_loads(name, found):
    with libcache.Cache(name=name, memory_bytes=4 << 20) as cache:
        board = cache.namespace("board", ttl=60)
        ran = []

        @cache.namespace("n", ttl=60).cached(name="find")
        def find(a):
            ran.append(a)
            wait_for(lambda: board.get("here", 0) == 3, 20)
            return "loaded"

        board.incr("here")
        found.put((find(1), len(ran)))


def test_processes_that_ask_at_once_load_once():
    name = f"test-decorator-{os.getpid()}"
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=count_loads, args=(name, found)) for _ in range(3)]
    try:
        for process in processes:
            process.start()
        results = [found.get(timeout=30) for _ in processes]
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
        libcache.remove_segment(name)
    assert [value for value, _ in results] == ["loaded"] * 3
    assert sum(ran for _, ran in results) == 1
