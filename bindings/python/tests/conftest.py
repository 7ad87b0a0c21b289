"""A Redis of the tests' own, on a unix socket in a folder of its own, and caches."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import pytest

import libcache


class Server:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="libcache-test-")
        self.socket = os.path.join(self.folder, "redis.sock")
        self.url = f"unix://{self.socket}"
        self.process = None

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no", "--dir", self.folder],
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: self.answers() or self.process.poll() is not None)
        assert self.process.poll() is None, "redis-server has ended"

    def answers(self):
        """The socket's file is there a moment before somebody listens."""
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.settimeout(1)
            s.connect(self.socket)
            s.sendall(b"PING\r\n")
            return s.recv(16).startswith(b"+PONG")
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.go_on()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cache(self, **options):
        options.setdefault("redis_timeout", 5)  # on a busy machine it may take long
        return libcache.Cache(self.url, memory_bytes=4 << 20, **options)


def wait_for(condition, seconds=10):
    """Until it is true; fails when that takes too long."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not come about"
        time.sleep(0.002)


@pytest.fixture(scope="session")
def shared_server():
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server")
    server = Server()
    server.start()
    yield server
    server.end()


@pytest.fixture
def server(shared_server):
    """Empty at the beginning of each test."""
    subprocess.run(["redis-cli", "-s", shared_server.socket, "flushall"], check=True, stdout=subprocess.DEVNULL)
    return shared_server


@pytest.fixture
def own_server():
    """For tests that stop it."""
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server")
    server = Server()
    server.start()
    yield server
    server.end()


@pytest.fixture
def clock():
    return libcache.TestClock()


@pytest.fixture
def cache(clock):
    with libcache.Cache(memory_bytes=4 << 20, clock=clock) as cache:
        yield cache


@pytest.fixture
def ns(cache):
    return cache.namespace("test", ttl=100, negative_ttl=5)


@pytest.fixture
def users(cache):
    return cache.namespace("users", ttl=60)


@pytest.fixture
def name():
    """Of a named segment."""
    name = f"libcache-test-{uuid.uuid4().hex}"
    yield name
    libcache.remove_segment(name)
