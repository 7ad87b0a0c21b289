"""Measures the service without a cache, with cache-aside by redis-py, and with libcache; prints one table.

    python load.py [--json] [--rounds 2] [--workers 2] [--clients 8] [--seconds 5] [--users 200]

Each round (they take turns, so that no kind has a quiet minute to itself) starts a Redis and a server with several workers of its own, on
unix sockets in a temporary folder, fills a database, warms up, and sends the same mix of requests: a few users ask often, most seldom
(Zipf). Times are those of a client on the same machine: with few cores, clients, workers and Redis share them. The hit rate is that of
the reads that the service makes: Redis' own count, or libcache's over all workers.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MIX = {"GET /session": 40, "GET /users/me": 25, "GET /organization": 15, "GET /settings": 15, "PATCH /users/me": 1, "POST /login": 1}
KINDS = {"none": "no cache", "redis": "redis-py, aside", "libcache": "libcache"}


class Connection:
    """HTTP/1.1 over a unix socket, one request at a time: as little as will do, so that it is the server that is measured."""

    async def open(self, path):
        self.reader, self.writer = await asyncio.open_unix_connection(path)
        return self

    async def ask(self, method, path, token=None, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        about = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: auth\r\n{authorization}{about}\r\n"
        self.writer.write(head.encode() + data)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        answer = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), answer

    def close(self):
        self.writer.close()


async def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            return await what()
        except (OSError, AssertionError, asyncio.IncompleteReadError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


class Round:
    """One kind of cache: its servers, and what was measured."""

    def __init__(self, kind, options):
        self.kind, self.options = kind, options
        self.folder = tempfile.mkdtemp(prefix="auth-")
        self.socket = os.path.join(self.folder, "http.sock")
        self.redis_socket = os.path.join(self.folder, "redis.sock")
        self.name = f"auth-{os.getpid()}-{kind}"
        self.times = {}
        self.processes = []

    def start(self):
        environment = {
            **os.environ, "AUTH_CACHE": self.kind, "AUTH_NAME": self.name, "AUTH_DATABASE": os.path.join(self.folder, "auth.sqlite"),
            "AUTH_REDIS": f"unix://{self.redis_socket}", "AUTH_SLOW_MS": "1000",
        }  # fmt: skip
        run = [sys.executable, "-c", f"import database; database.fill(users={self.options.users})"]
        subprocess.run(run, cwd=HERE, env=environment, check=True)
        redis = ["redis-server", "--port", "0", "--unixsocket", self.redis_socket, "--save", "", "--appendonly", "no", "--dir", self.folder]
        server = [
            sys.executable, "-m", "gunicorn.app.wsgiapp", "service:app", "-w", str(self.options.workers),
            "-k", "uvicorn.workers.UvicornWorker", "-b", f"unix:{self.socket}", "--log-level", "warning",
        ]  # fmt: skip
        self.processes.append(subprocess.Popen(redis, stdout=subprocess.DEVNULL))
        self.processes.append(subprocess.Popen(server, cwd=HERE, env=environment))

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.kind == "libcache":
            import libcache

            for name in (self.name, f"{self.name}.metrics"):
                libcache.remove_segment(name)

    async def log_in(self, connection, user):
        status, answer = await connection.ask("POST", "/login", body={"email": f"user{user}@example.org", "password": "password"})
        assert status == 200, answer
        return json.loads(answer)["token"]

    async def client(self, number, tokens, until):
        rng = random.Random(number)
        users = list(range(1, self.options.users + 1))
        weights = list(itertools.accumulate(1 / rank for rank in users))
        kinds, shares = list(MIX), list(itertools.accumulate(MIX.values()))
        connection = await Connection().open(self.socket)
        try:
            while time.monotonic() < until:
                user = rng.choices(users, cum_weights=weights)[0]
                what = rng.choices(kinds, cum_weights=shares)[0]
                method, path = what.split()
                body = {"email": f"user{user}@example.org", "password": "password"} if path == "/login" else {"name": f"User {user}"}
                begun = time.perf_counter()
                status, answer = await connection.ask(method, path, tokens[user], None if method == "GET" else body)
                self.times.setdefault(what, []).append(time.perf_counter() - begun)
                assert status == 200, (what, status, answer)
        finally:
            connection.close()

    async def measure(self):
        connection = await wait_for(lambda: Connection().open(self.socket))
        try:
            tokens = {user: await self.log_in(connection, user) for user in range(1, self.options.users + 1)}
            await self.clients(tokens, 1.0)
            self.times.clear()
            before = await self.counts()
            begun = time.monotonic()
            await self.clients(tokens, self.options.seconds)
            self.took = time.monotonic() - begun
            after = await self.counts()
        finally:
            connection.close()
        self.hits, self.misses = after[0] - before[0], after[1] - before[1]

    async def clients(self, tokens, seconds):
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.client(number, tokens, until) for number in range(self.options.clients)))

    async def counts(self):
        """Hits and misses."""
        if self.kind == "redis":
            command = ["redis-cli", "-s", self.redis_socket, "info", "stats"]
            info = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            figures = dict(line.split(":", 1) for line in info.split() if ":" in line)
            return int(figures["keyspace_hits"]), int(figures["keyspace_misses"])
        if self.kind == "libcache":
            connection = await Connection().open(self.socket)  # the server has closed those that were idle
            text = (await connection.ask("GET", "/metrics"))[1].decode()
            connection.close()
            lines = [line.rsplit(" ", 1) for line in text.splitlines()]
            hits = sum(int(n) for name, n in lines if name.startswith("libcache_reads_total{"))
            return hits, sum(int(n) for name, n in lines if name.startswith("libcache_misses_total{"))
        return 0, 0


class Sum:
    """All rounds of a kind."""

    def __init__(self, kind, rounds):
        self.kind = kind
        self.times = {what: [t for r in rounds for t in r.times.get(what, ())] for what in MIX}
        self.rate = sum(map(len, self.times.values())) / sum(r.took for r in rounds)
        hits, misses = sum(r.hits for r in rounds), sum(r.misses for r in rounds)
        self.hit_rate = hits / (hits + misses) if hits + misses else None


def percentile(times, share):
    return sorted(times)[min(int(share * len(times)), len(times) - 1)] * 1000


def table(rounds, options):
    title = f"{options.workers} workers, {options.clients} clients, {options.users} users, {options.rounds} x {options.seconds:g} s"
    lines = [f"{title}; milliseconds", ""]
    lines.append(f"{'':18}" + "".join(f"{KINDS[r.kind]:>24}" for r in rounds))
    lines.append(f"{'':18}" + f"{'p50':>16}{'p95':>8}" * len(rounds))
    for what in MIX:
        figures = "".join(f"{percentile(r.times[what], 0.5):>16.2f}{percentile(r.times[what], 0.95):>8.2f}" for r in rounds)
        lines.append(f"{what:18}{figures}")
    lines.append(f"{'requests/s':18}" + "".join(f"{r.rate:>24.0f}" for r in rounds))
    lines.append(f"{'hit rate':18}" + "".join(f"{'-' if r.hit_rate is None else format(r.hit_rate, '.2%'):>24}" for r in rounds))
    return "\n".join(lines)


def lines_of_json(rounds):
    for r in rounds:
        for what, times in r.times.items():
            figures = {"p50_ms": round(percentile(times, 0.5), 3), "p95_ms": round(percentile(times, 0.95), 3)}
            yield json.dumps({"bench": f"python service, {what}", "engine": KINDS[r.kind], **figures})
        yield json.dumps({"bench": "python service", "engine": KINDS[r.kind], "requests_per_s": round(r.rate), "hit_rate": r.hit_rate})


def measure(options):
    """By kind, everything measured."""
    rounds = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        for kind in KINDS:
            one = Round(kind, options)
            try:
                one.start()
                asyncio.run(one.measure())
            finally:
                one.end()
            rounds[kind].append(one)
    return [Sum(kind, of_kind) for kind, of_kind in rounds.items()]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="a line for each kind and request instead of the table")
    options = parser.parse_args(arguments)
    found = measure(options)
    if options.json:
        print("\n".join(lines_of_json(found)))
    else:
        print(table(found, options))


if __name__ == "__main__":
    main()
