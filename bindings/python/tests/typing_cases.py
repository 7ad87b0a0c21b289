"""What a type checker makes of decorated functions: test_typing.py has mypy read this. An ignore that is not needed is an error."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from typing_extensions import assert_type

import libcache

cache = libcache.Cache()
ns = cache.namespace("users", ttl=60)


@ns.cached(ttl=10, tags=["user:{user_id}"])
def find(user_id: int, part: str = "") -> list[str]:
    return [part * user_id]


@ns.cached
async def find_async(user_id: int) -> dict[str, int]:
    return {"id": user_id}


class Service:
    @ns.cached(ttl=3)
    def find(self, user_id: int) -> int:
        return user_id

    @ns.cached(ttl=3)
    async def find_async(self, user_id: int) -> int:
        return user_id


def functions() -> None:
    assert_type(find(1), list[str])
    assert_type(find(user_id=1, part="x"), list[str])
    assert_type(find.invalidate(1), bool)
    assert_type(find.cache_key(1), bytes)
    assert_type(find.cache_info().hits, int)
    assert_type(find.__wrapped__(1), list[str])
    find.cache_clear()
    find("x")  # type: ignore[arg-type]
    find()  # type: ignore[call-arg]
    find.invalidate("x")  # type: ignore[arg-type]


async def coroutine_functions() -> None:
    task: Coroutine[Any, Any, dict[str, int]] = find_async(1)
    assert_type(await task, dict[str, int])
    assert_type(await find_async(1), dict[str, int])
    assert_type(await find_async.invalidate(1), bool)
    await find_async.cache_clear()
    await find_async("x")  # type: ignore[arg-type]


async def methods(service: Service) -> None:
    assert_type(service.find(1), int)
    assert_type(await service.find_async(1), int)
    assert_type(service.find.invalidate(1), bool)
