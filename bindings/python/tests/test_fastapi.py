"""FastAPI and Starlette, in process: signatures, dependencies, the middleware, the routes, the lifespan."""

import asyncio
import logging
import os
import types

import pytest

import libcache

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from fastapi import Depends, FastAPI, Header  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.background import BackgroundTask  # noqa: E402
from starlette.responses import PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402

import libcache.metrics  # noqa: E402
from libcache.fastapi import PerformanceMiddleware, get_cache, lifespan  # noqa: E402
from libcache.fastapi import setup as set_up  # noqa: E402 (pytest takes `setup` for its own)


class User(BaseModel):
    id: int
    name: str = "Ada"


# ---- Signatures -----------------------------------------------------------------------------------------------------------------------

MODULES = {
    "plain": "",
    "future": "from __future__ import annotations\n",
}

SOURCE = """
from typing import List, Optional
from fastapi import Depends, Query, Request
from pydantic import BaseModel

class Filter(BaseModel):
    text: str = ""

def number(n: int = Query(7)) -> int:
    return n

asked = []

@ns.cached(ttl=10)
async def dependency(n: int = Depends(number)) -> int:
    asked.append("dependency")
    return n + 1

@app.get("/async/{user_id}")
@ns.cached(ttl=10)
async def endpoint(
    user_id: int, request: Request, limit: int = Query(10, ge=1), q: Optional[str] = None, n: int = Depends(dependency)
) -> dict:
    asked.append("async")
    return {"user_id": user_id, "limit": limit, "q": q, "n": n}

@app.get("/sync/{user_id}")
@ns.cached(ttl=10)
def sync_endpoint(user_id: int, limit: int = 10) -> dict:
    asked.append("sync")
    return {"user_id": user_id, "limit": limit}

@app.post("/filter")
@ns.cached(ttl=10)
async def by_body(filter: Filter, ids: List[int] = Query([])) -> dict:
    asked.append("body")
    return {"text": filter.text, "ids": ids}
"""


@pytest.mark.parametrize("kind", MODULES)
def test_endpoints_and_dependencies_keep_their_signatures(users, kind):
    module = types.ModuleType(f"endpoints_{kind}")
    module.app, module.ns = FastAPI(), users
    exec(MODULES[kind] + SOURCE, module.__dict__)
    client = TestClient(module.app)
    for _ in range(2):
        assert client.get("/async/42?q=x").json() == {"user_id": 42, "limit": 10, "q": "x", "n": 8}
        assert client.get("/sync/42?limit=3").json() == {"user_id": 42, "limit": 3}
        assert client.post("/filter?ids=1&ids=2", json={"text": "a"}).json() == {"text": "a", "ids": [1, 2]}
    assert sorted(module.asked) == ["async", "body", "dependency", "sync"]
    assert client.get("/async/42?limit=0").status_code == 422
    assert client.get("/async/x").status_code == 422
    assert client.get("/async/42?n=8").json()["n"] == 9
    parameters = module.app.openapi()["paths"]["/async/{user_id}"]["get"]["parameters"]
    assert {p["name"] for p in parameters} == {"user_id", "limit", "q", "n"}


def test_methods_may_be_endpoints_and_dependencies(users):
    class Service:
        asked = 0

        async def find(self, user_id: int) -> dict:
            Service.asked += 1
            return {"user_id": user_id}

    Service.find = users.cached(Service.find)
    service, app = Service(), FastAPI()
    app.add_api_route("/a/{user_id}", service.find)

    @app.get("/b/{user_id}")
    async def dependent(found: dict = Depends(service.find)):
        return found

    client = TestClient(app)
    assert client.get("/a/1").json() == client.get("/b/1").json() == client.get("/a/1").json() == {"user_id": 1}
    assert Service.asked == 1


def test_a_dependency_is_part_of_the_key(users):
    """Two users who ask the same are not given the same."""

    async def current_user(x_user: int = Header()) -> User:
        return User(id=x_user)

    app = FastAPI()

    @app.get("/me")
    @users.cached
    async def me(user: User = Depends(current_user)) -> User:
        return user

    client = TestClient(app)
    for _ in range(2):
        assert client.get("/me", headers={"x-user": "1"}).json()["id"] == 1
        assert client.get("/me", headers={"x-user": "2"}).json()["id"] == 2


def test_starlette_takes_it_for_an_endpoint(users):
    @users.cached(key=lambda request: request.url.path, store=lambda result: False)
    async def endpoint(request):
        return PlainTextResponse("here")

    client = TestClient(Starlette(routes=[Route("/", endpoint)]))
    assert client.get("/").text == "here"


# ---- The middleware -------------------------------------------------------------------------------------------------------------------


def make_app(cache, **options):
    app = FastAPI()
    metrics = set_up(app, cache, **options)

    @app.get("/users/{user_id}")
    async def user(user_id: int):
        return {"id": user_id}

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(0.02)
        return {}

    @app.get("/broken")
    async def broken():
        raise RuntimeError("broken")

    @app.get("/stream")
    async def stream():
        async def parts():
            for _ in range(3):
                await asyncio.sleep(0.01)
                yield b"x"

        return StreamingResponse(parts())

    @app.get("/background")
    async def background():
        return Response("x", background=BackgroundTask(asyncio.sleep, 0.1))

    sub = FastAPI()

    @sub.get("/inner/{n}")
    async def inner(n: int):
        return n

    app.mount("/sub", sub)
    return app, metrics


def by_route(metrics):
    return {p.route: p for p in metrics.performance()}


def test_every_answer_says_how_long_it_took(cache):
    app, _ = make_app(cache)
    answer = TestClient(app).get("/users/1")
    assert answer.headers["x-response-time"].endswith("ms")
    ms = float(answer.headers["x-response-time"][:-2])
    assert 0 < ms < 1000
    assert answer.headers["server-timing"] == f"app;dur={ms:.3f}"


def test_figures_by_route(cache):
    app, metrics = make_app(cache, slow_ms=10)
    client = TestClient(app, raise_server_exceptions=False)
    for i in range(5):
        client.get(f"/users/{i}")
    client.get("/slow"), client.get("/stream"), client.get("/background"), client.get("/nowhere/at/all"), client.get("/broken")
    client.get("/sub/inner/1")
    client.request("WEIRD", "/users/1")
    figures = by_route(metrics)
    assert figures["GET /users/{user_id}"].count == 5
    # None, unless the machine paused: then it is in the buckets, too.
    limit = libcache.metrics.BOUNDS.index(10_000)
    assert figures["GET /users/{user_id}"].slow == sum(n for i, n in figures["GET /users/{user_id}"].buckets.items() if i > limit)
    assert figures["GET /slow"].slow == 1 and figures["GET /slow"].p50_ms >= 20
    assert figures["GET /stream"].p50_ms >= 30 * 0.9  # to the last byte
    assert figures["GET /background"].p50_ms < 90  # not what comes after it
    assert figures["GET /broken"].errors == 1
    assert figures["GET (no route)"].count == 1
    assert figures["GET /sub/inner/{n}"].count == 1
    assert not any("WEIRD" in route for route in figures)
    assert metrics.complete


def test_slow_requests_are_logged_without_what_was_asked(cache, caplog):
    app, _ = make_app(cache, slow_ms=10)
    with caplog.at_level(logging.WARNING, "libcache.performance"):
        TestClient(app).get("/users/1?token=secret")
        assert caplog.text == ""
        TestClient(app).get("/slow?token=secret")
    assert "slow request: GET /slow took" in caplog.text and "secret" not in caplog.text


def test_the_threshold_is_100_ms(cache):
    assert PerformanceMiddleware(None).slow_ms == 100


def test_other_protocols_pass(cache):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        asyncio.run(PerformanceMiddleware(app)({"type": kind}, None, None))
    assert seen == ["lifespan", "websocket"]


def test_percentiles_are_near_the_truth():
    import bisect
    import random

    rng = random.Random(1)
    times = [rng.lognormvariate(9, 1) for _ in range(20000)]  # microseconds
    buckets = {}
    for us in times:
        i = bisect.bisect_left(libcache.metrics.BOUNDS, us)
        buckets[i] = buckets.get(i, 0) + 1
    for share in (0.5, 0.95, 0.99):
        truth = sorted(times)[int(share * len(times))] / 1000
        assert abs(libcache.metrics.percentile(buckets, share) - truth) < 0.05 * truth


def test_starlette_alone(cache):
    async def endpoint(request):
        return PlainTextResponse("x")

    app = Starlette(routes=[Route("/things/{n}", endpoint), Mount("/sub", routes=[Route("/deep", endpoint)])])
    metrics = set_up(app, cache)
    with TestClient(app) as client:
        client.get("/things/1"), client.get("/things/2"), client.get("/sub/deep")
        assert client.get("/ready").json()["status"] == "ok"
    assert by_route(metrics)["GET /things/{n}"].count == 2


# ---- Routes ---------------------------------------------------------------------------------------------------------------------------


def test_prometheus_text(cache):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    app, metrics = make_app(cache, slow_ms=10)
    client = TestClient(app)
    client.get("/users/1"), client.get("/users/2"), client.get("/slow")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text)}
    samples = families["http_request_duration_seconds"].samples
    of_users = [s for s in samples if s.labels["route"] == "/users/{user_id}" and s.labels["method"] == "GET"]
    assert [s.value for s in of_users if s.name.endswith("_count")] == [2]
    buckets = [s.value for s in of_users if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == 2
    slow = {s.labels["route"]: s.value for s in families["http_requests_slow"].samples}
    assert slow["/slow"] == 1 and slow["/users/{user_id}"] == by_route(metrics)["GET /users/{user_id}"].slow
    assert families["libcache_reads"].type == "counter"  # what the core says
    assert cache.metrics().splitlines()[:3] == answer.text.splitlines()[:3]


def test_performance_as_json(cache):
    app, _ = make_app(cache)
    client = TestClient(app)
    client.get("/users/1")
    said = client.get("/metrics/performance").json()
    assert said["slow_ms"] == 100 and said["complete"] is True and said["scope"].startswith("this worker only")
    route = said["routes"]["GET /users/{user_id}"]
    assert route["count"] == 1 and 0 < route["p50_ms"] <= route["p99_ms"]
    assert set(route) == {"count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "slow", "errors"}


def test_a_long_name_has_its_own_figures(name):
    names = [f"{name}-{'x' * 20}{end}" for end in "ab"]
    assert all(len(name) == 64 for name in names) or len(names[0]) > 56
    found = {libcache.metrics._beside(name[:64]) for name in names}
    assert all(len(name) <= 64 for name in found)
    assert libcache.metrics._beside("a" * 56) == "a" * 56 + ".metrics"
    assert libcache.metrics._beside("a" * 63 + "b") != libcache.metrics._beside("a" * 64)


def test_figures_may_be_begun_anew(cache):
    app, metrics = make_app(cache)
    TestClient(app).get("/users/1")
    metrics.reset()
    assert metrics.performance() == []


def test_a_forked_worker_adds_what_it_has_counted_itself(name):
    with libcache.Cache(name=name, memory_bytes=4 << 20) as cache:
        metrics = libcache.metrics.Metrics(cache)
        try:
            ns = cache.namespace("n", ttl=60)
            ns.set("a", 1)
            for _ in range(5):
                ns.get("a")
            metrics.record("GET", "/", 200, 0.001)
            child = os.fork()
            if not child:
                try:
                    ns.get("a")
                    metrics.record("GET", "/", 200, 0.001)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert metrics.stats()["hits_l1"] == 6
            assert metrics.scope == "all workers of this host"
            assert [p.count for p in metrics.performance()] == [2]
        finally:
            metrics.close()
            libcache.remove_segment(f"{name}.metrics")


def test_ready(cache):
    app = FastAPI()
    passes = {"database": True}

    async def database():
        return passes["database"]

    async def hangs():
        await asyncio.sleep(10)

    set_up(app, cache, checks={"database": database}, metrics_path=None)
    client = TestClient(app)
    answer = client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "cache": {"memory": "ok", "redis": "none"}, "checks": {"database": "ok"}}
    assert client.get("/metrics").status_code == 404
    broken = FastAPI()
    set_up(broken, cache, checks={"database": hangs})
    answer = TestClient(broken).get("/ready")
    assert answer.status_code == 503 and answer.json()["checks"] == {"database": "failed"}


def test_ready_is_degraded_and_200_without_redis(own_server):
    with own_server.cache(redis_timeout=0.2) as cache:
        app = FastAPI()
        set_up(app, cache)
        client = TestClient(app)
        assert client.get("/ready").json()["cache"] == {"memory": "ok", "redis": "ok"}
        own_server.kill()
        app = FastAPI()
        set_up(app, cache)
        answer = TestClient(app).get("/ready")
        assert answer.status_code == 200
        assert answer.json() == {"status": "degraded", "cache": {"memory": "ok", "redis": "away"}}


# ---- The application ------------------------------------------------------------------------------------------------------------------


def test_get_cache_and_lifespan(cache):
    app = FastAPI()
    seen = []

    @app.on_event("startup")
    async def startup():
        seen.append("startup")

    @app.on_event("shutdown")
    async def shutdown():
        seen.append("shutdown")

    set_up(app, cache, close=True)

    @app.get("/")
    async def endpoint(found: libcache.Cache = Depends(get_cache)):
        return found is cache

    with TestClient(app) as client:
        assert client.get("/").json() is True
        assert seen == ["startup"]
    assert seen == ["startup", "shutdown"]
    assert cache.closed


def test_a_lifespan_alone(cache):
    app = Starlette(lifespan=lifespan(cache))
    with TestClient(app):
        assert app.state.cache is cache
    assert not cache.closed


def test_without_a_cache_the_dependency_says_so():
    app = FastAPI()

    @app.get("/")
    async def endpoint(found: libcache.Cache = Depends(get_cache)):
        return {}

    with pytest.raises(RuntimeError, match="no cache"):
        TestClient(app).get("/")
