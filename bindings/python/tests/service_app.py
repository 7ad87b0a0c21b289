"""The application that test_servers.py runs under real servers. What it is given is in the environment."""

import asyncio
import os

from fastapi import FastAPI

import libcache
from libcache.fastapi import setup

cache = libcache.Cache(os.environ.get("SERVICE_REDIS"), name=os.environ["SERVICE_NAME"], memory_bytes=8 << 20, redis_timeout=0.2)
values = cache.namespace("values", ttl=600)
app = FastAPI()
setup(app, cache, close=True)


@values.cached(tags="value:{key}")
async def load(key: str) -> dict:
    await asyncio.sleep(0.05)
    with open(os.environ["SERVICE_LOG"], "a") as log:
        log.write(f"{key} {os.getpid()}\n")
    return {"key": key, "loader": os.getpid()}


@app.get("/values/{key}")
async def value(key: str):
    return {**await load(key), "worker": os.getpid()}


@app.post("/values/{key}/invalidate")
async def invalidate(key: str):
    await cache.aio.invalidate(f"value:{key}")


@app.get("/seen/{key}")
async def seen(key: str):
    return {"hit": values.get(load.cache_key(key)) is not None, "worker": os.getpid()}
