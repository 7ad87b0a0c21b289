"""Figures of a service, correct over all its workers, and their text for Prometheus.

The counters lie in a small shared segment of their own (a cache as any other, that nothing is evicted from), beside the cache's: every
worker of the host adds to the same numbers, at once and atomically, and any worker can tell them. A worker that dies takes nothing along.

A cache that is private to its process has private figures; `Metrics.scope` says which it is.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import os
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional

from . import _core
from .cache import Cache

__all__ = ["Metrics", "Performance", "percentile"]

SEPARATOR = "\x1f"  # between the parts of a counter's name
MEMORY = 4 << 20  # some 30,000 counters

# Upper bounds in microseconds: 14 a decade from 0.1 ms to 100 s, so that a percentile is off by a few per cent at most.
_STEPS = (100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800, 900)
BOUNDS = tuple(step * 10**decade for decade in range(6) for step in _STEPS) + (10**8,)
_PROMETHEUS = [i for i, bound in enumerate(BOUNDS) if str(bound).rstrip("0") in ("1", "25", "5")]


class Performance(NamedTuple):
    """Of one route, since the figures were begun."""

    route: str
    count: int  # type: ignore[assignment]
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slow: int
    errors: int  # answers of 500 and more
    buckets: dict[int, int]  # index into BOUNDS (its length: beyond) -> requests
    total_us: int


def percentile(buckets: dict[int, int], share: float) -> float:
    """In milliseconds, by the position within its bucket."""
    left = share * sum(buckets.values())
    for i in sorted(buckets):
        if left <= buckets[i]:
            low = BOUNDS[i - 1] if i else 0
            high = BOUNDS[i] if i < len(BOUNDS) else BOUNDS[-1] * 2
            return float(low + (high - low) * left / buckets[i]) / 1000
        left -= buckets[i]
    return 0.0


class Metrics:
    def __init__(self, cache: Optional[Cache] = None, *, name: Optional[str] = None, slow_ms: float = 100.0) -> None:
        """Figures of `cache` and of the requests that a middleware records.

        `name` is that of the segment for the counters; by default the cache's own with `.metrics` after it, and without a name a segment
        that is shared, or private, as the cache is.
        """
        self.cache = cache
        self.slow_ms = slow_ms
        if name is None and cache is not None and cache.name is not None:
            name = _beside(cache.name)
        shared = name is None and cache is not None and cache.shared
        self.scope = "all workers of this host" if name is not None or shared else f"this worker only (pid {os.getpid()})"
        self._store = Cache(name=name, shared=shared, memory_bytes=MEMORY, lock_wait=0.01)
        self._requests = self._store.namespace("requests", ttl=math.inf)
        self._stats = self._store.namespace("stats", ttl=math.inf)
        self._stats.add("since", int(time.time()))
        self.dropped = 0  # figures that could not be added: a worker is stopped in the middle of a write, or memory is used up
        me = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(me()))

    # -- requests

    def record(self, method: str, route: str, status: int, seconds: float) -> bool:
        """Adds a request. True: it was slow."""
        us = int(seconds * 1e6)
        slow = seconds * 1000 >= self.slow_ms
        name = f"{method} {route}{SEPARATOR}"
        add = self._requests.incr
        try:
            add(f"{name}{bisect.bisect_left(BOUNDS, us)}")
            add(f"{name}us", us)
            if slow:
                add(f"{name}slow")
            if status >= 500:
                add(f"{name}errors")
        except _core.Error:
            self.dropped += 1
        return slow

    def performance(self) -> list[Performance]:
        """By route, in the order of their names."""
        found: dict[str, dict[str, int]] = {}
        for name, value in self._counters(self._requests):
            route, _, what = name.rpartition(SEPARATOR)
            found.setdefault(route, {})[what] = value
        return [self._performance(route, figures) for route, figures in sorted(found.items())]

    @staticmethod
    def _performance(route: str, figures: dict[str, int]) -> Performance:
        buckets = {int(what): n for what, n in figures.items() if what.isdigit()}
        count, total = sum(buckets.values()), figures.get("us", 0)
        p50, p95, p99 = (percentile(buckets, share) for share in (0.5, 0.95, 0.99))
        return Performance(
            route, count, total / count / 1000 if count else 0.0, p50, p95, p99, figures.get("slow", 0), figures.get("errors", 0),
            buckets, total,
        )  # fmt: skip

    def _counters(self, ns: Any) -> Iterator[tuple[str, int]]:
        names = {entry.key.decode("utf-8", "replace") for entry in self._store.entries() if entry.namespace == ns.name}
        for name, value in ns.get_many(names).items():
            if isinstance(value, int):
                yield name, value

    @property
    def since(self) -> float:
        """When the figures were begun: seconds since 1970."""
        return float(self._stats.get("since", 0))

    @property
    def complete(self) -> bool:
        """Whether nothing has been dropped for want of memory."""
        return self._store.stats()["evictions"] == 0 and self.dropped == 0

    def reset(self) -> None:
        """Begins anew, for all workers."""
        self._requests.clear()
        self._stats.clear()
        self._stats.add("since", int(time.time()))

    # -- the cache

    def stats(self) -> dict[str, int]:
        """What all processes of the cache's segment have counted: `Cache.sum_stats`."""
        return self.cache.sum_stats() if self.cache is not None and not self.cache.closed else {}

    # -- text

    def prometheus(self) -> str:
        """All of it as OpenMetrics text for Prometheus: the core's, and requests by route."""
        text = self.cache.metrics().removesuffix("# EOF\n") if self.cache is not None else ""
        return text + "".join(line + "\n" for line in self._request_lines(self.performance())) + "# EOF\n"

    def _request_lines(self, routes: Iterable[Performance]) -> Iterator[str]:
        yield "# HELP http_request_duration_seconds Time from the request to the end of its answer."
        yield "# TYPE http_request_duration_seconds histogram"
        routes = list(routes)
        for r in routes:
            labels, below, at = _labels(r.route), 0, 0
            for i in _PROMETHEUS:
                below += sum(r.buckets.get(j, 0) for j in range(at, i + 1))
                at = i + 1
                yield f'http_request_duration_seconds_bucket{{{labels},le="{BOUNDS[i] / 1e6:g}"}} {below}'
            yield f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}} {r.count}'
            yield f"http_request_duration_seconds_sum{{{labels}}} {r.total_us / 1e6:.6f}"
            yield f"http_request_duration_seconds_count{{{labels}}} {r.count}"
        for name, help_, field in (
            ("http_requests_slow_total", f"Requests that took {self.slow_ms:g} ms or more.", "slow"),
            ("http_request_errors_total", "Requests that were answered with a status of 500 or more.", "errors"),
        ):
            yield f"# HELP {name[: -len('_total')]} {help_}"
            yield f"# TYPE {name[: -len('_total')]} counter"
            for r in routes:
                yield f"{name}{{{_labels(r.route)}}} {getattr(r, field)}"

    def close(self) -> None:
        """The counters stay for the other workers."""
        self._store.close()


def _beside(name: str) -> str:
    """A segment's name has 64 characters at most."""
    return f"{name}.metrics" if len(name) <= 56 else f"{name[:39]}.{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.metrics"


def _labels(route: str) -> str:
    method, _, path = route.partition(" ")
    path = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'method="{method}",route="{path}"'


def _after_fork(metrics: Optional[Metrics]) -> None:
    if metrics is not None and metrics.scope.startswith("this worker"):
        metrics.scope = f"this worker only (pid {os.getpid()})"
