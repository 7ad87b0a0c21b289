"""fork and spawn: one named segment, one Redis, and connections and threads of their own."""

import asyncio
import multiprocessing
import os
import sys
import threading
import traceback
import warnings

import pytest

import libcache

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)


def in_child(function):
    """Runs it in a forked child; fails when that does, with what it says."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            function()
            status = 0
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, said


def test_a_shared_segment_is_used_on_by_children():
    with libcache.Cache(shared=True, memory_bytes=1 << 20) as cache:
        ns = cache.namespace("test")
        ns.set("parent", [1])

        def child():
            assert ns.get("parent") == [1]
            ns.set("child", "x")
            assert ns.incr("n") == 1

        in_child(child)
        assert ns.get("child") == "x"
        assert ns.incr("n") == 2


def test_a_private_one_becomes_the_childs_own(ns):
    def child():
        ns.set("child", 1)

    in_child(child)
    assert ns.get("child") is None


def test_a_child_has_a_way_to_redis_of_its_own(server):
    with server.cache() as cache:
        ns = cache.namespace("test", ttl=100)

        async def use(who):
            await asyncio.gather(*[ns.aio.set(f"{who}{i}", i) for i in range(50)])
            ns.cache.poll()
            await ns.aio.delete_many([f"{who}{i}" for i in range(10)])
            return [await ns.aio.get(f"{who}{i}") for i in range(50)] == [None] * 10 + list(range(10, 50))

        assert asyncio.run(use("parent"))
        for turn in range(5):
            in_child(lambda: asyncio.run(use(f"child{turn}")) or sys.exit("wrong values"))
            assert asyncio.run(use(f"parent{turn}"))
        with server.cache() as other:
            assert other.namespace("test").get("child311") == 11


def test_children_are_forked_while_calls_are_under_way(server):
    with server.cache() as cache:
        ns = cache.namespace("test", ttl=100)
        stop, failures = threading.Event(), []

        def work():
            async def main():
                i = 0
                while not stop.is_set():
                    i += 1
                    await ns.aio.set(f"k{i % 50}", i)
                    if await ns.aio.get(f"absent{i}") is not None:
                        failures.append(i)

            asyncio.run(main())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for turn in range(10):

                def child():
                    async def main():
                        await ns.aio.set(f"child{turn}", turn)
                        assert await ns.aio.get(f"child{turn}") == turn
                        assert await ns.aio.get(f"none{turn}") is None

                    asyncio.run(main())
                    cache.close()

                in_child(child)
        finally:
            stop.set()
            thread.join(10)
        assert not failures
        assert not thread.is_alive()


def spawned(name, url, pipe):
    cache = libcache.Cache(url, name=name, memory_bytes=1 << 20)
    ns = cache.namespace("test", ttl=100)
    pipe.send((ns.get("parent"), ns.incr("n")))
    ns.set("child", {"from": os.getpid()}, tags=["t"])
    cache.close()


@pytest.mark.parametrize("with_redis", [False, True])
def test_spawned_processes_open_the_segment_by_its_name(name, with_redis, request):
    url = request.getfixturevalue("server").url if with_redis else None
    with libcache.Cache(url, name=name, memory_bytes=1 << 20) as cache:
        ns = cache.namespace("test", ttl=100)
        ns.set("parent", (1, 2))
        context = multiprocessing.get_context("spawn")
        for turn in (1, 2):
            here, there = context.Pipe()
            process = context.Process(target=spawned, args=(name, url, there))
            process.start()
            assert here.poll(30)
            assert here.recv() == ((1, 2), turn)
            process.join(30)
            assert process.exitcode == 0
            assert ns.get("child") == {"from": process.pid}
        cache.invalidate("t")
        assert ns.get("child") is None
