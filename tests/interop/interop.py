#!/usr/bin/env python3
"""PHP and Python read each other's entries: on one host through a named segment, and on two through Redis.
SPDX-License-Identifier: MIT

    interop.py PHP_EXTENSION.so        PYTHONPATH has the libcache package; needs php and redis-server
"""

import datetime
import decimal
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid

import libcache

HERE = os.path.dirname(os.path.abspath(__file__))
failures = 0


def check(what, got, wanted):
    global failures
    if got != wanted or type(got) is not type(wanted):
        failures += 1
        print(f"interop: {what}: {got!r}, not {wanted!r}")


class Php:
    def __init__(self, extension, options):
        self.process = subprocess.Popen(
            ["php", "-n", "-d", f"extension={extension}", "-d", "date.timezone=UTC", os.path.join(HERE, "peer.php"), json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, do, **request):
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "php has ended"
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0, "php failed"


# What PHP writes (as its source), and what Python reads.
FROM_PHP = [
    ("null", None),
    ("true", True),
    ("-17", -17),
    ("PHP_INT_MIN", -(2**63)),
    ("2.5", 2.5),
    ("'Zürich'", "Zürich"),
    ("''", ""),
    ('"\\xff\\x00bytes"', b"\xff\x00bytes"),
    ("[1, 'two', [3.0, null]]", [1, "two", [3.0, None]]),
    ("['name' => 'Ada', 'roles' => ['admin', 'user'], 'limits' => ['projects' => 5, 'storage' => 1.5], 'active' => true]",
     {"name": "Ada", "roles": ["admin", "user"], "limits": {"projects": 5, "storage": 1.5}, "active": True}),
    ("[]", []),
    ("[7 => 'seven', 'x' => 'y']", {7: "seven", "x": "y"}),
]  # fmt: skip

# What Python writes, and what PHP reads, as var_export shows it.
FROM_PYTHON = [
    (None, "NULL"),
    (False, "false"),
    (42, "42"),
    (1.5, "1.5"),
    ("naïve", "'naïve'"),
    (b"raw", "'raw'"),
    ([1, 2], "array (\n  0 => 1,\n  1 => 2,\n)"),
    ({"a": {"b": [None]}}, "array (\n  'a' => \n  array (\n    'b' => \n    array (\n      0 => NULL,\n    ),\n  ),\n)"),
    ((1, "x"), "array (\n  0 => 1,\n  1 => 'x',\n)"),
    (decimal.Decimal("12.50"), "'12.50'"),
    (uuid.UUID("12345678-1234-5678-1234-567812345678"), "'12345678-1234-5678-1234-567812345678'"),
    (2**70, "'1180591620717411303424'"),
    (datetime.datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=datetime.timezone.utc), "2026-03-01T12:30:15.250000+00:00"),
]


def values(ns, php, where):
    for i, (source, wanted) in enumerate(FROM_PHP):
        check(f"{where}: php sets {source}", php("set", key=f"php:{i}", value=source), True)
        check(f"{where}: python gets {source}", ns.get(f"php:{i}", "nothing"), wanted)
    for i, (value, wanted) in enumerate(FROM_PYTHON):
        ns.set(f"python:{i}", value)
        check(f"{where}: php gets {value!r}", php("get", key=f"python:{i}"), wanted)


def eventually(what, ask, wanted):
    """Other hosts hear of a change within moments."""
    until = time.monotonic() + 10
    while ask() != wanted and time.monotonic() < until:
        time.sleep(0.002)
    check(what, ask(), wanted)


def changes(cache, ns, counters, php, where):
    ns.set("tenant:7:a", {"by": "python"}, tags=["tenant:7"])
    php("set", key="tenant:7:b", value="['by' => 'php']", tags=["tenant:7"])
    php("set", key="tenant:8:c", value="1", tags=["tenant:8"])
    check(f"{where}: a set of the other side", ns.get("tenant:7:b"), {"by": "php"})
    php("get", key="tenant:7:a")
    php("invalidate", tags=["tenant:7"])
    eventually(f"{where}: php invalidates what python set", lambda: ns.get("tenant:7:a", "nothing"), "nothing")
    eventually(f"{where}: php invalidates what php set", lambda: ns.get("tenant:7:b", "nothing"), "nothing")
    check(f"{where}: another tag is left alone", ns.get("tenant:8:c"), 1)
    php("set", key="tenant:9:d", value="'old'", tags=["tenant:9"])
    check(f"{where}: python reads it", ns.get("tenant:9:d"), "old")
    cache.invalidate("tenant:9")
    eventually(f"{where}: python invalidates what php set", lambda: php("get", key="tenant:9:d"), "'nothing'")
    ns.set("gone", 1)
    php("get", key="gone")
    ns.delete("gone")
    eventually(f"{where}: python deletes", lambda: php("get", key="gone"), "'nothing'")
    check(f"{where}: php counts", php("increment", key="hits", by=2), 2)
    check(f"{where}: python counts on", counters.incr("hits", 3), 5)
    check(f"{where}: php sees it", php("counter", key="hits"), 5)
    check(f"{where}: php remembers", php("remember", key="loaded"), {"by": "php"})
    check(f"{where}: python is given what php loaded", ns.get_or_load("loaded", lambda: {"by": "python"}), {"by": "php"})
    check(f"{where}: php takes a lock", php("lock", key="report"), True)
    check(f"{where}: python does not", cache.lock("report", ttl=60).take(), False)


def one_host(extension):
    name = f"interop-{os.getpid()}"
    cache = libcache.Cache(name=name, memory_bytes=8 << 20)
    try:
        php = Php(extension, {"segment": "named", "name": name, "memory": 8 << 20})
        ns, counters = cache.namespace("shared", ttl=600), cache.namespace("counters", ttl=600)
        values(ns, php, "one host")
        changes(cache, ns, counters, php, "one host")
        php.end()
    finally:
        cache.close()
        libcache.remove_segment(name)


def two_hosts(extension):
    with tempfile.TemporaryDirectory() as folder:
        sock = os.path.join(folder, "redis.sock")
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 10
            while not os.path.exists(sock):
                assert server.poll() is None and time.monotonic() < until, "redis-server does not start"
                time.sleep(0.005)
            cache = libcache.Cache(f"unix://{sock}", memory_bytes=8 << 20, redis_prefix="interop")
            php = Php(extension, {"segment": "private", "redis_url": f"unix://{sock}", "redis_prefix": "interop", "memory": 8 << 20})
            ns, counters = cache.namespace("shared", ttl=600), cache.namespace("counters", ttl=600)
            values(ns, php, "two hosts")
            changes(cache, ns, counters, php, "two hosts")
            php.end()
            cache.close()
        finally:
            server.kill()
            server.wait()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: interop.py PHP_EXTENSION.so")
    one_host(sys.argv[1])
    two_hosts(sys.argv[1])
    if failures:
        sys.exit(f"interop: {failures} failed")
    print(f"interop: {len(FROM_PHP) + len(FROM_PYTHON)} values and 14 kinds of changes, on one host and on two: ok")


main()
