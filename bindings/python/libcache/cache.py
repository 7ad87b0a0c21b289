"""Cache and Namespace: the C classes with what is easier said in Python."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any

from . import _core
from ._core import BYPASS, HIT, LEAD, MISSING, NEGATIVE, STALE, Key, Load, LostError, Rate, Seconds
from .codecs import Codec, codec_hooks


class Namespace(_core.Namespace):
    """Entries under one name and policy. Made by `Cache.namespace`. `aio` is the same namespace for an event loop."""

    __slots__ = ("aio",)
    aio: AsyncNamespace

    def get_or_load(
        self, key: Key, loader: Callable[[], Any], ttl: Seconds | None = None, tags: Iterable[Key] = (), *,
        wait: Seconds | None = None, default: Any = None,
    ) -> Any:  # fmt: skip
        """The value, loaded by `loader()` when it is not there. However many threads and processes ask at once, one loads.

        `loader` may return `MISSING`: then the key is remembered as missing at the source, and `default` is given.
        """
        result, value, load = self.begin(key, wait)
        if load is None:
            return default if result == NEGATIVE else value
        try:
            loaded = loader()
        except BaseException as error:
            load.abort(isinstance(error, Exception))
            if result == STALE and isinstance(error, Exception):
                return value
            raise
        if loaded is MISSING:
            load.commit(None, ttl, tags, negative=True)
            return default
        load.commit(loaded, ttl, tags)
        return loaded


class AsyncNamespace(_core.AsyncNamespace):
    """A namespace for an event loop: `ns.aio`."""

    __slots__ = ()

    async def get_or_load(
        self, key: Key, loader: Callable[[], Awaitable[Any]], ttl: Seconds | None = None, tags: Iterable[Key] = (), *,
        wait: Seconds | None = None, default: Any = None,
    ) -> Any:  # fmt: skip
        """As `Namespace.get_or_load`; the loader is a coroutine function."""
        result, value, load = await self.begin(key, wait)
        if load is None:
            return default if result == NEGATIVE else value
        try:
            loaded = await loader()
        except BaseException as error:
            load.abort_soon(isinstance(error, Exception))
            if result == STALE and isinstance(error, Exception):
                return value
            raise
        if loaded is MISSING:
            await load.commit_async(None, ttl, tags, negative=True)
            return default
        await load.commit_async(loaded, ttl, tags)
        return loaded


class Lock:
    """A lock among all hosts (with Redis) or all processes of the segment. Lost, unless kept, when `ttl` is over.

        with cache.lock("report", ttl=30, wait=5) as lock:
            lock.keep(30)
    """

    __slots__ = ("_cache", "name", "ttl", "wait", "owner")

    def __init__(self, cache: _core.Cache, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> None:
        self._cache, self.name, self.ttl, self.wait, self.owner = cache, name, ttl, wait, owner

    def take(self, wait: Seconds | None = None) -> bool: ...
    def keep(self, ttl: Seconds | None = None) -> None: ...
    def free(self) -> bool: ...
    def __enter__(self) -> Lock: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class AsyncLock:
    """The same for an event loop: `async with cache.aio.lock(...)`."""

    __slots__ = ("_cache", "name", "ttl", "wait", "owner")

    def __init__(self, cache: _core.Cache, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> None:
        self._cache, self.name, self.ttl, self.wait, self.owner = cache, name, ttl, wait, owner

    async def take(self, wait: Seconds | None = None) -> bool: ...
    async def keep(self, ttl: Seconds | None = None) -> None: ...
    async def free(self) -> bool: ...
    async def __aenter__(self) -> AsyncLock: ...
    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class AsyncCache:
    """What a whole cache can be asked, for an event loop: `cache.aio`."""

    __slots__ = ("_cache",)

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def invalidate(self, *tags: Key) -> Awaitable[None]:
        return self._cache.invalidate_async(*tags)

    def clear(self) -> Awaitable[None]:
        return self._cache.clear_async()

    def poll(self, timeout: Seconds | None = None) -> Awaitable[bool]:
        return self._cache.poll_async(timeout)

    def rate_hit(self, name: Key, limit: int, window: Seconds) -> Awaitable[Rate]:
        return self._cache.rate_hit_async(name, limit, window)

    def lock(self, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> AsyncLock:
        return AsyncLock(self._cache, name, ttl, wait, owner)


class Cache(_core.Cache):
    """A cache. See docs/python.md; the options are those of libcache.h, times in seconds."""

    __slots__ = ("aio",)
    aio: AsyncCache

    def __init__(self, redis_url: str | None = None, *, name: str | None = None, **options: Any) -> None: ...

    def namespace(
        self, name: str, *, ttl: Seconds | None = None, codec: Codec | None = None, type: Any = None, memo: int = 0, **policy: Any
    ) -> Namespace: ...
    def lock(self, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> Lock: ...
    def metrics(self) -> str: ...
    def __enter__(self) -> Cache: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
