"""examples/fastapi-auth: the service does what it says, with each kind of cache, and its load script measures."""

import json
import pathlib
import shutil
import sys
import types

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("gunicorn")
EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "examples" / "fastapi-auth"
if not EXAMPLE.is_dir():
    pytest.skip("the example is not here", allow_module_level=True)
if not shutil.which("redis-server"):
    pytest.skip("there is no redis-server", allow_module_level=True)
sys.path.insert(0, str(EXAMPLE))

import load  # noqa: E402

OPTIONS = types.SimpleNamespace(rounds=1, workers=2, clients=3, seconds=0.5, users=12)


@pytest.fixture(params=load.KINDS)
def service(request):
    if request.param == "redis":
        pytest.importorskip("redis.asyncio")
    one = load.Round(request.param, OPTIONS)
    try:
        one.start()
        yield one
    finally:
        one.end()


async def test_the_service(service):
    async def ask(method, path, token=None, body=None):
        connection = await load.Connection().open(service.socket)
        try:
            status, answer = await connection.ask(method, path, token, body)
        finally:
            connection.close()
        return status, json.loads(answer) if answer else None

    connection = await load.wait_for(lambda: load.Connection().open(service.socket))
    token = await service.log_in(connection, 3)
    other = await service.log_in(connection, 4)
    connection.close()
    assert (await ask("POST", "/login", None, {"email": "user3@example.org", "password": "wrong"}))[0] == 401
    assert (await ask("GET", "/session", "no such token"))[0] == 401
    for _ in range(6):  # by both workers
        assert (await ask("GET", "/session", token))[1]["user_id"] == 3
        assert (await ask("GET", "/users/me", token))[1]["name"] == "User 3"
        assert (await ask("GET", "/users/me", other))[1]["name"] == "User 4"
        assert (await ask("GET", "/organization", token))[1] == {"id": 4, "name": "Organization 4", "plan": "free", "members": 1}
        assert len((await ask("GET", "/settings", token))[1]) == 20
    assert (await ask("PATCH", "/users/me", token, {"name": "Ada"}))[0] == 200
    for _ in range(6):
        assert (await ask("GET", "/users/me", token))[1]["name"] == "Ada"
    assert (await ask("POST", "/logout", token))[0] == 200
    for _ in range(6):
        assert (await ask("GET", "/users/me", token))[0] == 401
    assert (await ask("GET", "/session", other))[0] == 200


@pytest.mark.parametrize("service", ["libcache"], indirect=True)
async def test_the_load_script(service):
    await service.measure()
    found = load.Sum(service.kind, [service])
    assert found.rate > 0 and set(found.times) == set(load.MIX)
    assert 0.5 < found.hit_rate <= 1
    table = load.table([found], OPTIONS)
    assert "GET /session" in table and "hit rate" in table
