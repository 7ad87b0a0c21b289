"""A small identity service: log in, and ask who you are.

    AUTH_DATABASE=auth.sqlite python -c "import database; database.fill()"
    AUTH_DATABASE=auth.sqlite AUTH_REDIS=redis://localhost uvicorn service:app --workers 2

    namespace           TTL       is invalidated by
    session_validation    60 s    log-out: the session's own tag
    user_profile         300 s    a change of the user
    organization         600 s    (not changed here)
    settings            1800 s    (not changed here)

AUTH_CACHE says what is compared (see load.py): libcache (the default), none, or redis, which is the cache-aside of `aside.py`.
"""

import os

from fastapi import Body, Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

import database

KIND = os.environ.get("AUTH_CACHE", "libcache")
REDIS = os.environ.get("AUTH_REDIS")

app = FastAPI(title="auth")

if KIND == "libcache":
    import libcache
    from libcache.fastapi import setup

    cache = libcache.Cache(REDIS, name=os.environ.get("AUTH_NAME", "auth"), memory_bytes=32 << 20, listen=REDIS is not None)
    setup(app, cache, close=True, slow_ms=float(os.environ.get("AUTH_SLOW_MS", "100")))
    sessions = cache.namespace("session_validation", ttl=60, negative_ttl=5)
    profiles = cache.namespace("user_profile", ttl=300)
    organizations = cache.namespace("organization", ttl=600)
    settings = cache.namespace("settings", ttl=1800)
    invalidate = cache.aio.invalidate
else:
    from aside import Aside, Nothing

    aside = Aside(REDIS) if KIND == "redis" else Nothing()
    sessions = aside.namespace("session_validation", ttl=60)
    profiles = aside.namespace("user_profile", ttl=300)
    organizations = aside.namespace("organization", ttl=600)
    settings = aside.namespace("settings", ttl=1800)
    invalidate = aside.invalidate


def query(function, *args):
    """Runs a function of the database in a thread, with a session of its own."""

    def run():
        with database.open_session() as db:
            return function(db, *args)

    return run_in_threadpool(run)


# ---- What is cached ------------------------------------------------------------------------------------------------------------------


@sessions.cached(secret="token", negative=lambda session: session is None, tags=["session:{token}", "user:{result[user_id]}"])
async def session_of(token: str):
    return await query(database.read_session, token)


@profiles.cached(tags=["user:{user_id}"])
async def profile_of(user_id: int):
    return await query(database.read_profile, user_id)


@organizations.cached(tags=["organization:{organization_id}"])
async def organization_of(organization_id: int):
    return await query(database.read_organization, organization_id)


@settings.cached(tags=["organization:{organization_id}"])
async def settings_of(organization_id: int):
    return await query(database.read_settings, organization_id)


# ---- The service ---------------------------------------------------------------------------------------------------------------------


async def bearer(credentials: HTTPAuthorizationCredentials = Depends(HTTPBearer())) -> str:
    return credentials.credentials


async def current_session(token: str = Depends(bearer)) -> dict:
    session = await session_of(token)
    if session is None:
        raise HTTPException(401, "log in first")
    return session


@app.post("/login")
async def log_in(email: str = Body(), password: str = Body()):
    token = await query(database.log_in, email, password)
    if token is None:
        raise HTTPException(401, "no such user, or another password")
    return {"token": token}


@app.post("/logout")
async def log_out(token: str = Depends(bearer)):
    await query(database.log_out, token)
    await invalidate(f"session:{token}")


@app.get("/session")
async def session(session: dict = Depends(current_session)):
    return session


@app.get("/users/me")
async def me(session: dict = Depends(current_session)):
    return await profile_of(session["user_id"])


@app.patch("/users/me")
async def change_me(name: str = Body(embed=True), session: dict = Depends(current_session)):
    await query(database.rename, session["user_id"], name)
    await invalidate(f"user:{session['user_id']}")


@app.get("/organization")
async def organization(session: dict = Depends(current_session)):
    return await organization_of(session["organization_id"])


@app.get("/settings")
async def organization_settings(session: dict = Depends(current_session)):
    return await settings_of(session["organization_id"])
