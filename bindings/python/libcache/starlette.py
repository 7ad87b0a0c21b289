"""libcache in a Starlette or FastAPI application.

    cache = libcache.Cache("redis://localhost", name="shop")
    app = FastAPI()
    libcache.starlette.setup(app, cache)     # times every request; /metrics, /metrics/performance and /ready

What a worker of gunicorn or uvicorn does, it does for all of them: with a cache that has a name, entries, counters and figures are shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Optional

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from . import _core
from .cache import Cache
from .metrics import Metrics

__all__ = ["Check", "PerformanceMiddleware", "get_cache", "lifespan", "routes", "setup"]

log = logging.getLogger("libcache.performance")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Check = Callable[[], Awaitable[bool]]

TIMINGS = "libcache.timings"  # in a scope: what is to be said in Server-Timing beside the time
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))


def route_name(scope: Scope, root: str = "") -> str:
    """The path as it was declared, `/users/{id}`: not the one that was asked for, of which there are too many.

    root: the scope's root_path before it was routed; what mounts have added to it goes before the path.
    """
    route = scope.get("route")
    path = getattr(route, "path", None)
    if path is None:
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return "(no route)"
        path = _path_of(scope)
        if path is None:
            return f"{getattr(endpoint, '__module__', '')}.{getattr(endpoint, '__qualname__', type(endpoint).__qualname__)}"
    return f"{scope.get('root_path', '').removeprefix(root)}{path}"


def _path_of(scope: Scope) -> Optional[str]:
    """Where the application's own routes have this endpoint (Starlette itself does not say which route it took)."""
    for route in getattr(getattr(scope.get("app"), "router", None), "routes", ()):
        if getattr(route, "endpoint", None) is scope["endpoint"] and isinstance(getattr(route, "path", None), str):
            return str(route.path)
    return None


class PerformanceMiddleware:
    """Times requests: `X-Response-Time` and `Server-Timing` on every answer, a line in the log for slow ones, figures for `Metrics`.

    Pure ASGI: nothing is buffered, and tasks, contexts and disconnects are the application's own. The header says the time until the answer
    begins, the log and the figures the time until its last byte was given to the server; a background task after it does not count.
    """

    def __init__(self, app: Application, *, metrics: Optional[Metrics] = None, slow_ms: Optional[float] = None) -> None:
        self.app = app
        self.metrics = metrics
        self.slow_ms = slow_ms if slow_ms is not None else metrics.slow_ms if metrics is not None else 100.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        root = scope.get("root_path", "")
        ended = 0.0
        status = 0
        timings: list[str] = []
        scope[TIMINGS] = timings

        async def timed_send(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                ms = (time.perf_counter() - begun) * 1000
                timing = ", ".join([f"app;dur={ms:.3f}", *timings])
                headers = [*message.get("headers", ()), (b"x-response-time", b"%.3fms" % ms), (b"server-timing", timing.encode("latin-1"))]
                message = {**message, "headers": headers}
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                ended = time.perf_counter()

        try:
            await self.app(scope, receive, timed_send)
        except asyncio.CancelledError:
            status = status or 499  # nobody waits for it any more
            raise
        except BaseException:
            status = 500
            raise
        finally:
            self.ended(scope, root, status or 500, (ended or time.perf_counter()) - begun)

    def ended(self, scope: Scope, root: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        route = route_name(scope, root)
        if self.metrics is not None:
            self.metrics.record(method, route, status, seconds)
        if seconds * 1000 >= self.slow_ms:
            log.warning("slow request: %s %s took %.1f ms, status %d", method, route, seconds * 1000, status)


# ---- Routes --------------------------------------------------------------------------------------------------------------------------


class Readiness:
    """Whether the service can serve. A Redis that is away makes it slower, not unready."""

    TIMEOUT = 0.2  # seconds, for Redis and for each check
    FRESH = 1.0  # seconds for which an answer is given again

    def __init__(self, cache: Optional[Cache], checks: Optional[dict[str, Check]] = None) -> None:
        self.cache = cache
        self.checks = checks or {}
        self._answer: Optional[tuple[float, int, dict[str, Any]]] = None

    async def look(self) -> tuple[int, dict[str, Any]]:
        now = time.monotonic()
        if self._answer is None or now - self._answer[0] >= self.FRESH:
            self._answer = (now, *await self._look())
        return self._answer[1], self._answer[2]

    async def _look(self) -> tuple[int, dict[str, Any]]:
        checks = {name: await self._passes(check) for name, check in self.checks.items()}
        said: dict[str, Any] = {"status": "ok"}
        if self.cache is not None:
            said["cache"] = await self._look_at_cache(self.cache)
            if said["cache"]["redis"] == "away" or said["cache"]["memory"] != "ok":
                said["status"] = "degraded"
        if checks:
            said["checks"] = {name: "ok" if passed else "failed" for name, passed in checks.items()}
        if not all(checks.values()):
            said["status"] = "unavailable"
            return 503, said
        return 200, said

    async def _passes(self, check: Check) -> bool:
        try:
            return bool(await asyncio.wait_for(check(), self.TIMEOUT))
        except Exception:
            return False

    async def _look_at_cache(self, cache: Cache) -> dict[str, Any]:
        if cache.closed:
            return {"memory": "closed", "redis": "none"}
        redis = "none"
        if cache.has_redis:
            try:
                redis = "ok" if await asyncio.wait_for(cache.aio.poll(self.TIMEOUT), 2 * self.TIMEOUT) else "away"
            except Exception:
                redis = "away"
        return {"memory": "ok", "redis": redis}


def routes(
    cache: Optional[Cache],
    metrics: Metrics,
    *,
    metrics_path: Optional[str] = "/metrics",
    performance_path: Optional[str] = "/metrics/performance",
    ready_path: Optional[str] = "/ready",
    checks: Optional[dict[str, Check]] = None,
) -> list[BaseRoute]:
    """The routes that tell figures. None for a path: without that one. They are for operators: do not let the world ask them."""
    readiness = Readiness(cache, checks)

    async def prometheus(request: Request) -> Response:
        return Response(metrics.prometheus(), media_type="application/openmetrics-text; version=1.0.0; charset=utf-8")

    async def performance(request: Request) -> Response:
        return JSONResponse(performance_figures(metrics))

    async def ready(request: Request) -> Response:
        status, said = await readiness.look()
        return JSONResponse(said, status)

    found = ((metrics_path, prometheus), (performance_path, performance), (ready_path, ready))
    return [Route(path, endpoint, include_in_schema=False) for path, endpoint in found if path is not None]


def performance_figures(metrics: Metrics) -> dict[str, Any]:
    return {
        "scope": metrics.scope,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(metrics.since)),
        "complete": metrics.complete,
        "slow_ms": metrics.slow_ms,
        "routes": {
            p.route: {
                "count": p.count,
                "mean_ms": round(p.mean_ms, 3),
                "p50_ms": round(p.p50_ms, 3),
                "p95_ms": round(p.p95_ms, 3),
                "p99_ms": round(p.p99_ms, 3),
                "slow": p.slow,
                "errors": p.errors,
            }
            for p in metrics.performance()
        },
    }


# ---- The application -----------------------------------------------------------------------------------------------------------------


async def get_cache(connection: HTTPConnection) -> Cache:
    """A dependency: `cache: Cache = Depends(get_cache)`."""
    cache = getattr(connection.app.state, "cache", None)
    if not isinstance(cache, _core.Cache):
        raise RuntimeError("this application has no cache: call libcache.starlette.setup(app, cache), or let lifespan() do it")
    return cache  # type: ignore[return-value]


def lifespan(cache: Cache, *, close: bool = False) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    """For `FastAPI(lifespan=lifespan(cache))`, or to be entered by one of your own: `async with lifespan(cache)(app)`.

    `app.state.cache` is the cache. close: the cache is closed at the end.
    """

    @contextlib.asynccontextmanager
    async def run(app: Any) -> AsyncIterator[None]:
        app.state.cache = cache
        try:
            yield
        finally:
            if close:
                cache.close()

    return run


def setup(
    app: Any,
    cache: Cache,
    *,
    metrics: Optional[Metrics] = None,
    slow_ms: float = 100.0,
    checks: Optional[dict[str, Check]] = None,
    close: bool = False,
    **paths: Optional[str],
) -> Metrics:
    """All of it for one application, at the place where it is made: the middleware, the routes, `app.state.cache`, the lifespan.

    paths: `metrics_path`, `performance_path`, `ready_path`; None leaves one out. checks: coroutine functions by name that must give true
    for `/ready` to be 200. A lifespan, or startup and shutdown handlers, that the application has already run inside of this one.
    """
    metrics = metrics if metrics is not None else Metrics(cache, slow_ms=slow_ms)
    app.state.cache = cache
    app.state.cache_metrics = metrics
    app.add_middleware(PerformanceMiddleware, metrics=metrics, slow_ms=slow_ms)
    app.router.routes.extend(routes(cache, metrics, checks=checks, **paths))
    inner = app.router.lifespan_context
    outer = lifespan(cache, close=close)

    @contextlib.asynccontextmanager
    async def both(application: Any) -> AsyncIterator[Any]:
        async with outer(application):
            async with inner(application) as state:
                yield state

    app.router.lifespan_context = both
    return metrics
