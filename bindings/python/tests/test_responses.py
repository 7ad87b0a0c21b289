"""Cached answers of GET routes: what is kept, for whom, and with which headers."""

import asyncio
import textwrap
import types
from typing import Optional

import pytest

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from fastapi import Depends, FastAPI, Header, Query, Request  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from starlette.responses import JSONResponse, Response  # noqa: E402

from libcache.fastapi import cached_response  # noqa: E402
from libcache.fastapi import setup as set_up  # noqa: E402 (pytest takes `setup` for its own)


class User(BaseModel):
    id: int
    name: str = "Ada"


class PublicUser(BaseModel):
    id: int


class Answers:
    """An application with cached answers, and how often each endpoint ran."""

    def __init__(self, users):
        self.ran = []
        self.app = FastAPI()
        ran = self.ran

        @self.app.get("/users/{user_id}", response_model=PublicUser)
        @cached_response(users, ttl=30, tags=["user:{user_id}", "name:{result[name]}"])
        async def user(user_id: int, limit: int = Query(10)) -> User:
            ran.append(user_id)
            return User(id=user_id)

        @self.app.get("/sync/{user_id}")
        @cached_response(users)
        def sync(user_id: int):
            ran.append(user_id)
            return {"id": user_id}

        @self.app.get("/raw")
        @cached_response(users, private=True, max_age=5)
        async def raw():
            ran.append("raw")
            return Response(b"\x00raw", media_type="application/x-raw", headers={"x-own": "kept"})

        @self.app.get("/language")
        @cached_response(users, vary="Accept-Language")
        async def language(request: Request):
            ran.append("language")
            return {"language": request.headers.get("accept-language")}

        @self.app.get("/status/{status}")
        @cached_response(users)
        async def status(status: int):
            ran.append(status)
            return JSONResponse({}, status)

        @self.app.get("/cookie")
        @cached_response(users)
        async def cookie():
            ran.append("cookie")
            answer = JSONResponse({})
            answer.set_cookie("a", "b")
            return answer

        @self.app.get("/mine")
        @cached_response(users, vary="authorization", private=True)
        async def mine(authorization: Optional[str] = Header(None)):
            ran.append(authorization)
            return {"mine": authorization}

        @self.app.post("/users/{user_id}")
        @cached_response(users)
        async def change(user_id: int):
            ran.append("change")
            return {}

        self.user, self.client = user, TestClient(self.app)


@pytest.fixture
def answers(users):
    return Answers(users)


def test_an_answer_is_kept(answers):
    first, second = answers.client.get("/users/1"), answers.client.get("/users/1")
    assert first.json() == second.json() == {"id": 1}  # response_model leaves the name out, as ever
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["cache-control"] in ("public, max-age=30", "public, max-age=29")
    assert answers.ran == [1]
    assert answers.client.get("/users/2").headers["etag"] != first.headers["etag"]
    assert answers.client.get("/users/1?limit=3").headers["x-cache"] == "miss"


def test_who_has_it_already_is_not_sent_it_again(answers):
    etag = answers.client.get("/users/1").headers["etag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = answers.client.get("/users/1", headers={"if-none-match": given})
        assert answer.status_code == 304 and answer.content == b"" and answer.headers["etag"] == etag
        assert "max-age" in answer.headers["cache-control"]
    assert answers.client.get("/users/1", headers={"if-none-match": '"x"'}).status_code == 200


def test_sync_endpoints(answers):
    assert [answers.client.get("/sync/1").json() for _ in range(2)] == [{"id": 1}] * 2
    assert answers.ran == [1]


def test_responses_are_kept_as_they_are(answers):
    for cached in ("miss", "hit"):
        answer = answers.client.get("/raw")
        assert answer.content == b"\x00raw" and answer.headers["content-type"] == "application/x-raw"
        assert answer.headers["x-own"] == "kept" and answer.headers["x-cache"] == cached
        assert answer.headers["cache-control"] == "private, max-age=5" and answer.headers["content-length"] == "4"
    assert answers.ran == ["raw"]


def test_answers_that_vary(answers):
    ask = lambda language: answers.client.get("/language", headers={"accept-language": language})  # noqa: E731
    assert [ask("de").json(), ask("fr").json(), ask("de").json()] == [{"language": "de"}, {"language": "fr"}, {"language": "de"}]
    assert ask("de").headers["vary"] == "accept-language"
    assert answers.ran == ["language"] * 2


def test_only_good_answers_are_kept(answers):
    for _ in range(2):
        assert answers.client.get("/status/404").status_code == 404
        assert answers.client.get("/cookie").headers["set-cookie"].startswith("a=b")
        answers.client.cookies.clear()
    assert answers.ran == [404, "cookie", 404, "cookie"]
    assert "etag" not in answers.client.get("/status/404").headers


@pytest.mark.parametrize("header", [{"authorization": "Bearer x"}, {"cookie": "session=x"}])
def test_who_shows_credentials_is_not_answered_from_the_cache(answers, header):
    answers.client.get("/users/1")
    for _ in range(2):
        assert "x-cache" not in answers.client.get("/users/1", headers=header).headers
    assert answers.ran == [1, 1, 1]
    assert answers.client.get("/users/1").headers["x-cache"] == "hit"


def test_credentials_that_the_key_knows(answers):
    ask = lambda who: answers.client.get("/mine", headers={"authorization": who})  # noqa: E731
    for _ in range(2):
        assert ask("a").json() == {"mine": "a"} and ask("b").json() == {"mine": "b"}
    assert answers.ran == ["a", "b"]
    assert ask("a").headers["cache-control"].startswith("private")


def test_changes_pass(answers):
    for _ in range(2):
        assert "etag" not in answers.client.post("/users/1").headers
    assert answers.ran == ["change"] * 2


def test_answers_are_invalidated_by_tag_and_by_arguments(answers, cache):
    get = lambda: answers.client.get("/users/1").headers["x-cache"]  # noqa: E731
    assert [get(), get()] == ["miss", "hit"]
    cache.invalidate("user:1")
    assert [get(), get()] == ["miss", "hit"]
    cache.invalidate("name:Ada")
    assert [get(), get()] == ["miss", "hit"]
    asyncio.run(answers.user.invalidate(user_id=1))
    assert [get(), get()] == ["miss", "hit"]
    asyncio.run(answers.user.invalidate(user_id=2))
    assert get() == "hit"


def test_dependencies_run_before(users):
    """Who may not ask is not answered from the cache."""
    app, allowed = FastAPI(), [True]

    async def guard():
        if not allowed[0]:
            raise fastapi.HTTPException(403)

    @app.get("/", dependencies=[Depends(guard)])
    @cached_response(users)
    async def endpoint():
        return {"secret": 1}

    client = TestClient(app)
    assert client.get("/").status_code == 200
    allowed[0] = False
    assert client.get("/").status_code == 403


def test_hits_show_in_server_timing(cache, users):
    app = FastAPI()
    set_up(app, cache)

    @app.get("/")
    @cached_response(users)
    async def endpoint():
        return {}

    client = TestClient(app)
    assert [client.get("/").headers["server-timing"].partition(", ")[2] for _ in range(2)] == ["cache;desc=miss", "cache;desc=hit"]


def test_string_annotations(users):
    source = textwrap.dedent(
        """
        from __future__ import annotations
        class Filter(BaseModel):
            text: str
        @app.post("/")
        @cached_response(ns)
        async def endpoint(filter: Filter, request: Request, n: int = 3) -> dict:
            return {"text": filter.text, "n": n, "path": request.url.path}
        """
    )
    module = types.ModuleType("string_annotations")
    module.__dict__.update(app=FastAPI(), ns=users, cached_response=cached_response, BaseModel=BaseModel, Request=Request)
    exec(source, module.__dict__)
    assert TestClient(module.app).post("/", json={"text": "a"}).json() == {"text": "a", "n": 3, "path": "/"}


def test_a_head_request_has_the_headers(users):
    app = FastAPI()

    @app.api_route("/", methods=["GET", "HEAD"])
    @cached_response(users)
    async def endpoint():
        return Response(b"body")

    client = TestClient(app)
    assert client.get("/").headers["etag"] == client.head("/").headers["etag"]


def test_an_answer_to_who_says_who_he_is_is_for_no_proxy(users):
    app = FastAPI()

    @app.get("/me")
    @cached_response(users, ttl=60, credentials=True)
    async def me(authorization: str = Header("nobody")):
        return {"user": authorization}

    with TestClient(app) as client:
        for _ in range(2):
            said = client.get("/me", headers={"authorization": "ada"})
            assert said.json() == {"user": "ada"} and said.headers["cache-control"].startswith("private")
        assert client.get("/me").headers["cache-control"].startswith("public")
