"""Cache and Namespace: the C classes with what is easier said in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any

from . import _core
from ._core import BYPASS, HIT, LEAD, MISSING, NEGATIVE, Key, LostError, Rate, Seconds
from .codecs import Codec, codec_hooks
from .decorator import cached


class Namespace(_core.Namespace):
    """Entries under one name and policy. Made by `Cache.namespace`. `aio` is the same namespace for an event loop."""

    __slots__ = ("aio", "codec", "memo", "type")
    aio: AsyncNamespace
    codec: Codec | None
    memo: int
    type: Any

    def __init__(
        self, cache: _core.Cache, name: str, *, codec: Codec | None = None, type: Any = None, memo: int = 0, **policy: Any
    ) -> None:
        super().__init__(cache, name, **codec_hooks(codec, type), memo=memo, **policy)
        self.codec = codec
        self.memo = memo
        self.type = type
        self.aio = AsyncNamespace(self)

    cached = cached  # a decorator: see docs/fastapi.md

    def get_or_load(
        self, key: Key, loader: Callable[[], Any], ttl: Seconds | None = None, tags: Iterable[Key] = (), *,
        wait: Seconds | None = None, default: Any = None,
    ) -> Any:  # fmt: skip
        """The value, loaded by `loader()` when it is not there. However many threads and processes ask at once, one loads.

        `loader` may return `MISSING`: then the key is remembered as missing at the source, and `default` is given.
        """
        result, value, load, _ = self.begin(key, wait)
        refreshes = result not in (LEAD, BYPASS)
        older = default if result == NEGATIVE else value
        if load is not None and refreshes:
            now, fresh, _ = load.recheck()
            if now in (HIT, NEGATIVE):
                return default if now == NEGATIVE else fresh
        if load is None or load.ended:
            return older
        try:
            loaded = loader()
        except BaseException as error:
            load.abort(isinstance(error, Exception))
            if refreshes and isinstance(error, Exception):
                return older
            raise
        try:
            if loaded is MISSING:
                load.commit(None, ttl, tags, negative=True)
                return default
            load.commit(loaded, ttl, tags)
        finally:
            load.abort(False)  # what cannot be stored lets nobody wait; after a commit this is nothing
        return loaded


class AsyncNamespace(_core.AsyncNamespace):
    """A namespace for an event loop: `ns.aio`."""

    __slots__ = ()

    async def get_or_load(
        self, key: Key, loader: Callable[[], Awaitable[Any]], ttl: Seconds | None = None, tags: Iterable[Key] = (), *,
        wait: Seconds | None = None, default: Any = None,
    ) -> Any:  # fmt: skip
        """As `Namespace.get_or_load`; the loader is a coroutine function."""
        result, value, load, _ = await self.begin(key, wait)
        refreshes = result not in (LEAD, BYPASS)
        older = default if result == NEGATIVE else value
        if load is not None and refreshes:
            now, fresh, _ = await load.recheck_async()
            if now in (HIT, NEGATIVE):
                return default if now == NEGATIVE else fresh
        if load is None or load.ended:
            return older
        try:
            loaded = await loader()
        except BaseException as error:
            load.abort_soon(isinstance(error, Exception))
            if refreshes and isinstance(error, Exception):
                return older
            raise
        try:
            if loaded is MISSING:
                await load.commit_async(None, ttl, tags, negative=True)
                return default
            await load.commit_async(loaded, ttl, tags)
        finally:
            load.abort_soon(False)
        return loaded


def _seconds(time: Seconds) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


class Lock:
    """A lock among all hosts (with Redis) or all processes of the segment. Lost, unless kept, when `ttl` is over.

        with cache.lock("report", ttl=30, wait=5) as lock:
            ...
            lock.keep()     # for another 30 seconds; LostError: it was lost meanwhile

    `owner` says whose it is while it is taken: Lock(..., owner=text) goes on with it elsewhere.
    """

    __slots__ = ("_cache", "name", "owner", "ttl", "wait")

    def __init__(self, cache: _core.Cache, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> None:
        self._cache, self.name, self.ttl, self.wait, self.owner = cache, name, ttl, wait, owner

    def take(self, wait: Seconds | None = None) -> bool:
        """Whether it is yours now. Waits for `wait` seconds at most."""
        taken = self._cache.lock_take(self.name, self.ttl, self.wait if wait is None else wait, self.owner)
        if taken is not None:
            self.owner = taken
        return taken is not None

    def keep(self, ttl: Seconds | None = None) -> None:
        """Holds it for `ttl` from now on. LostError: it was not yours any more."""
        if self.owner is None or not self._cache.lock_keep(self.name, self.owner, self.ttl if ttl is None else ttl):
            raise LostError(f"the lock {self.name!r} is not yours any more")

    def free(self) -> bool:
        """Gives it back. False: it was not yours any more."""
        owner, self.owner = self.owner, None
        return owner is not None and self._cache.lock_free(self.name, owner)

    def __enter__(self) -> Lock:
        if not self.take():
            raise TimeoutError(f"the lock {self.name!r} was not to be had in {_seconds(self.wait)} s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.free()


def _retrieved(reply: Any) -> None:
    """Nobody waits for it: that it failed is no news."""
    if not reply.cancelled():
        reply.exception()


class AsyncLock:
    """The same for an event loop: `async with cache.aio.lock(...)`. Who waits is woken when the lock is given back."""

    __slots__ = ("_cache", "name", "owner", "ttl", "wait")

    def __init__(self, cache: _core.Cache, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> None:
        self._cache, self.name, self.ttl, self.wait, self.owner = cache, name, ttl, wait, owner

    async def take(self, wait: Seconds | None = None) -> bool:
        """Whether it is yours now. Waits for `wait` seconds at most; other tasks run meanwhile."""
        reply: Any = self._cache.lock_take_async(self.name, self.ttl, self.wait if wait is None else wait, self.owner)
        try:
            taken = await reply
        except asyncio.CancelledError:
            self._cache.lock_leave(reply)
            # It may have come in the same turn of the loop: then it is ours, and nobody else gives it back.
            if reply.done() and not reply.cancelled() and reply.exception() is None and (came := reply.result()) is not None:
                freed: Any = self._cache.lock_free_async(self.name, came)
                freed.add_done_callback(_retrieved)
            raise
        if taken is not None:
            self.owner = taken
        return taken is not None

    async def keep(self, ttl: Seconds | None = None) -> None:
        if self.owner is None or not await self._cache.lock_keep_async(self.name, self.owner, self.ttl if ttl is None else ttl):
            raise LostError(f"the lock {self.name!r} is not yours any more")

    async def free(self) -> bool:
        owner, self.owner = self.owner, None
        return owner is not None and await self._cache.lock_free_async(self.name, owner)

    async def __aenter__(self) -> AsyncLock:
        if not await self.take():
            raise TimeoutError(f"the lock {self.name!r} was not to be had in {_seconds(self.wait)} s")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.free()


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

    def __init__(self, redis_url: str | None = None, *, name: str | None = None, **options: Any) -> None:
        super().__init__(redis_url=redis_url, name=name, **options)
        self.name = name
        self.shared = bool(options.get("shared"))

    @property
    def aio(self) -> AsyncCache:
        """The same cache for an event loop."""
        return AsyncCache(self)

    def namespace(
        self, name: str, *, ttl: Seconds | None = None, codec: Codec | None = None, type: Any = None, memo: int = 0, **policy: Any
    ) -> Namespace:
        """Opens a namespace. `type` is what its values are (see docs/values.md), `policy` are the other fields of libcache_policy."""
        return Namespace(self, name, ttl=ttl, codec=codec, type=type, memo=memo, **policy)

    def lock(self, name: Key, ttl: Seconds, wait: Seconds = 0, owner: str | None = None) -> Lock:
        return Lock(self, name, ttl, wait, owner)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
