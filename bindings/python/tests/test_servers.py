"""Under real servers with several workers: one memory, one load for all of them, figures of all of them."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import libcache

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS = 3


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def uvicorn_spawn(port):
    return [sys.executable, "-m", "uvicorn", "service_app:app", "--port", str(port), "--workers", str(WORKERS), "--log-level", "warning"]


def gunicorn_fork(port, *more):
    pytest.importorskip("gunicorn")
    return [
        sys.executable, "-m", "gunicorn.app.wsgiapp", "service_app:app", "-w", str(WORKERS), "-k", "uvicorn.workers.UvicornWorker",
        "-b", f"127.0.0.1:{port}", "--log-level", "warning", *more,
    ]  # fmt: skip


SERVERS = {
    "uvicorn, spawned": uvicorn_spawn,
    "gunicorn, forked": gunicorn_fork,
    "gunicorn, forked after loading": lambda port: gunicorn_fork(port, "--preload"),
}


class Service:
    def __init__(self, command, folder, name, redis=None):
        self.port = free_port()
        self.name = name
        self.log = os.path.join(folder, "loads")
        open(self.log, "w").close()
        environment = {**os.environ, "SERVICE_NAME": name, "SERVICE_LOG": self.log}
        if redis:
            environment["SERVICE_REDIS"] = redis
        self.process = subprocess.Popen(command(self.port), cwd=HERE, env=environment, start_new_session=True)

    async def ready(self):
        async with self.client() as client:
            end = time.monotonic() + 60
            while True:
                assert self.process.poll() is None, "the server has ended"
                assert time.monotonic() < end, "the server does not come up"
                with contextlib.suppress(httpx.TransportError):
                    if len(await self.workers(client)) == WORKERS:
                        return
                await asyncio.sleep(0.05)

    def client(self):
        # No connection is used twice, so that requests go to all workers.
        limits = httpx.Limits(max_connections=30, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30, limits=limits)

    async def workers(self, client):
        answers = await asyncio.gather(*(client.get("/seen/nobody") for _ in range(24)))
        return {answer.json()["worker"] for answer in answers}

    def loads(self):
        with open(self.log) as log:
            return [line.split() for line in log]

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for name in (self.name, f"{self.name}.metrics"):
            libcache.remove_segment(name)


@pytest.fixture
def run(tmp_path, name):
    services = []

    def start(kind, redis=None):
        services.append(Service(SERVERS[kind], tmp_path, name, redis))
        return services[-1]

    yield start
    for service in services:
        service.end()


async def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


def sample(text, name, **labels):
    want = {f'{key}="{value}"' for key, value in labels.items()}
    for line in text.splitlines():
        match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if match and want <= set((match[1] or "").split(",")):
            return float(match[2])
    return None


@pytest.mark.parametrize("kind", SERVERS)
async def test_workers_share_entries_loads_and_figures(run, kind):
    service = run(kind)
    await service.ready()
    async with service.client() as client:
        answers = await asyncio.gather(*(client.get(f"/values/k{i % 5}") for i in range(100)))
        said = [answer.json() for answer in answers]
        assert all(answer.status_code == 200 for answer in answers)
        assert sorted(key for key, _ in service.loads()) == [f"k{i}" for i in range(5)]  # one load each, in all workers
        assert len({s["worker"] for s in said}) == WORKERS
        assert {(s["key"], str(s["loader"])) for s in said} == {(key, pid) for key, pid in service.loads()}

        # What one worker invalidates, none has.
        await client.post("/values/k0/invalidate")
        assert not any(a.json()["hit"] for a in await asyncio.gather(*(client.get("/seen/k0") for _ in range(20))))
        assert all(a.json()["hit"] for a in await asyncio.gather(*(client.get("/seen/k1") for _ in range(20))))

        # Any worker tells the figures of all.
        for _ in range(6):
            said = (await client.get("/metrics/performance")).json()
            assert said["scope"] == "all workers of this host" and said["complete"]
            assert said["routes"]["GET /values/{key}"]["count"] == 100
            assert said["routes"]["POST /values/{key}/invalidate"]["count"] == 1
        for _ in range(3):
            text = (await client.get("/metrics")).text
            assert sample(text, "http_request_duration_seconds_count", method="GET", route="/values/{key}") == 100

        async def all_is_told():
            return sample((await client.get("/metrics")).text, "libcache_loads_total", namespace="values", result="ok") == 5

        await until(all_is_told)


async def test_a_killed_worker_takes_no_figures_along(run):
    service = run("gunicorn, forked")
    await service.ready()
    async with service.client() as client:
        await asyncio.gather(*(client.get(f"/values/k{i % 5}") for i in range(60)))
        before = await service.workers(client)
        os.kill(next(iter(before)), signal.SIGKILL)

        async def replaced():
            with contextlib.suppress(httpx.TransportError):
                now = await service.workers(client)
                return len(now) == WORKERS and now != before
            return False

        await until(replaced, 30)
        assert (await client.get("/metrics/performance")).json()["routes"]["GET /values/{key}"]["count"] == 60
        await client.get("/values/k1")
        assert len(service.loads()) == 5


async def test_redis_killed_under_load_is_no_fault_of_requests(run, own_server):
    service = run("uvicorn, spawned", own_server.url)
    await service.ready()
    failed = []

    async def load(client, stop):
        i = 0
        while not stop.is_set():
            i += 1
            answer = await client.get(f"/values/n{i}")
            if answer.status_code != 200 or answer.json()["key"] != f"n{i}":
                failed.append(answer)

    async with service.client() as client:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(load(client, stop)) for _ in range(8)]

        async def loaded(n):
            return len(service.loads()) >= n

        await until(lambda: loaded(20))
        own_server.kill()
        at = len(service.loads())
        await until(lambda: loaded(at + 40))

        async def degraded():
            answer = await client.get("/ready")
            return answer.status_code == 200 and answer.json()["status"] == "degraded"

        await until(degraded)
        own_server.start()

        async def ok():
            return (await client.get("/ready")).json()["status"] == "ok"

        await until(ok)
        stop.set()
        await asyncio.gather(*tasks)
    assert failed == []
