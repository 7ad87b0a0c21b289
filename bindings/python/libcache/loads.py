"""What is behind a decorated function when memory does not have the value: waiting, loading, storing, refreshing.

Who leads, who waits, what is fenced and what may be stored is decided by the library, through `begin` and `commit`; here is only what
Python adds:

- A load runs in the task or thread of its caller, with that caller's arguments. If it is cancelled, the load is given up and the next of
  those who wait leads, with arguments of its own: a cancelled request harms nobody, and nobody uses a session of a request that has gone.
- What a load raises goes to the calls of this process that waited for it, and to nobody who comes after.
- A stale value is given out at once and refreshed behind: in the event loop, or for sync functions in a thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Optional, Union

from . import _core
from ._core import BYPASS, HIT, LEAD, MISS, NEGATIVE, STALE, Error, Load, LoadError, Seconds
from .keys import Template

if TYPE_CHECKING:
    from .cache import Namespace

log = logging.getLogger("libcache")

RAISED = 1  # the user flag of an entry that is an exception

TagSource = Union[str, Iterable[str], Callable[["Call"], Iterable[str]]]
TtlSource = Union[Seconds, Callable[[Any], Seconds], None]


class Call(NamedTuple):
    """What a function that makes tags is given."""

    arguments: dict[str, Any]  # by name, defaults included
    result: Any


class Options(NamedTuple):
    ttl: TtlSource
    tags: TagSource
    lock: bool
    wait: Optional[Seconds]
    negative: Optional[Callable[[Any], bool]]
    store: Optional[Callable[[Any], bool]]
    exceptions: tuple[type[Exception], ...]
    refresh: Optional[float]  # seconds
    must_wait: Callable[[tuple[Any, ...], dict[str, Any]], bool]  # of the arguments of a call: see keys.must_wait


class Flight:
    """The calls of this process that are about one key just now."""

    __slots__ = ("calls", "error", "failures")

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self.error: Optional[Exception] = None


class Loads:
    """What sync and async functions have in common."""

    def __init__(self, ns: Namespace, function: Callable[..., Any], name: str, options: Options) -> None:
        self.ns = ns
        self.function = function
        self.name = name
        self.options = options
        self.signature = inspect.signature(function)
        self.function_tag = f"@{ns.name}/{name}"
        self.wait = options.wait if options.lock else 0.001
        self.negative_ttl = ns.policy()["negative_ttl"]
        self.make_tags = _tag_maker(options.tags, self.signature, name)
        self.lock = threading.RLock()  # a finalizer, or a signal's handler, may call in the middle of it
        self.flights: dict[bytes, Flight] = {}
        self.refreshing: set[bytes] = set()
        self.counts = dict.fromkeys(("hits", "misses", "stale", "refreshes", "errors"), 0)
        _all.add(self)

    def forked(self) -> None:
        """In the child: calls that were under way are the parent's."""
        self.lock = threading.RLock()
        self.flights = {}
        self.refreshing = set()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    # -- who waits with whom

    def enter(self, key: bytes) -> tuple[Flight, int]:
        with self.lock:
            flight = self.flights.get(key)
            if flight is None:
                flight = self.flights[key] = Flight()
            flight.calls += 1
            return flight, flight.failures

    def leave(self, key: bytes, flight: Flight) -> None:
        with self.lock:
            flight.calls -= 1
            if not flight.calls:
                del self.flights[key]

    def failed(self, flight: Optional[Flight], error: Exception) -> None:
        with self.lock:
            self.counts["errors"] += 1
            if flight is not None:
                flight.failures += 1
                flight.error = error

    # -- what is stored

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def tags(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> list[str]:
        if self.make_tags is None:
            return [self.function_tag]
        return [self.function_tag, *self.make_tags(Call(self.bind(args, kwargs), result))]

    def to_commit(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments for Load.commit."""
        options = self.options
        if options.store is not None and not options.store(value):
            return dict(value=None, store=False)
        if options.negative is not None and options.negative(value):
            return dict(value=value, ttl=self.negative_ttl, tags=self.tags(args, kwargs, value), negative=value is None)
        ttl = options.ttl(value) if callable(options.ttl) else options.ttl
        return dict(value=value, ttl=ttl, tags=self.tags(args, kwargs, value))

    def to_commit_raised(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[dict[str, Any]]:
        """The same for an exception; None: it is not to be cached. A subclass of a declared one may be made in another way: it is not."""
        if type(error) not in self.options.exceptions:
            return None
        record = [type(error).__qualname__, list(error.args)]
        try:
            _core.encode(record)
        except _core.EncodeError:
            return None
        return dict(value=record, ttl=self.negative_ttl, tags=self.tags(args, kwargs, None), raised=True)

    def explain(self, error: BaseException) -> NoReturn:
        if isinstance(error, _core.EncodeError):
            raise _core.EncodeError(
                f"{self.name} returned what cannot be stored: {error}. Return plain data, declare a dataclass or model as the return "
                "type, or give the namespace a codec"
            ) from error
        raise error

    # -- what begin gave

    def found(self, result: int, value: Any, flags: int) -> Any:
        """A call that the cache answered."""
        self.count("hits")
        if result == STALE:
            self.count("stale")
        if flags & RAISED:
            name, args = value
            for kind in self.options.exceptions:
                if kind.__qualname__ == name:
                    raise kind(*args)
            raise _core.DecodeError(f"{self.name}: an exception {name} is cached that exceptions= does not declare")
        return None if result == NEGATIVE else value

    def newer(self, result: int, now: Any, flags: int, value: Any) -> Any:
        """Instead of an aged value, what somebody has refreshed it with by now; an exception is no better than a value."""
        return value if flags & RAISED or result not in (HIT, NEGATIVE) else now

    def not_refreshed(self, error: Exception) -> None:
        log.warning("%s: an older value is still served, for its refresh failed: %r", self.name, error)


_all: weakref.WeakSet[Loads] = weakref.WeakSet()


def _forked() -> None:
    for loads in list(_all):
        loads.forked()


os.register_at_fork(after_in_child=_forked)


# ---- Functions ------------------------------------------------------------------------------------------------------------------------


class SyncLoads(Loads):
    def miss(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        flight, failures = self.enter(key)
        try:
            try:
                result, value, load, flags = self.ns.begin(key, self.wait)
            except Error:  # closed, busy, or failed lately in a program that remembers failures: no fault of this call
                self.count("misses")
                return self.function(*args, **kwargs)
            if load is None:
                return self.found(result, value, flags)
            if result not in (LEAD, BYPASS):
                return self.refresh(load, result, value, flags, args, kwargs)
            if flight.failures != failures and flight.error is not None:
                load.abort(False)
                raise flight.error
            self.count("misses")
            return self.run(load, flight, args, kwargs)
        finally:
            self.leave(key, flight)

    def run(self, load: Load, flight: Optional[Flight], args: tuple[Any, ...], kwargs: dict[str, Any], remember: bool = False) -> Any:
        """Loads. remember: a failure is not tried again for the policy's load_backoff."""
        try:
            value = self.function(*args, **kwargs)
        except Exception as error:
            self.failed(flight, error)
            record = self.to_commit_raised(error, args, kwargs)
            if record is None:
                load.abort(remember)
            else:
                load.commit(**record)
            raise
        except BaseException:
            load.abort(False)
            raise
        try:
            load.commit(**self.to_commit(value, args, kwargs))
        except BaseException as error:
            load.abort(False)
            self.explain(error)
        return value

    def refresh(self, load: Load, result: int, value: Any, flags: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.options.must_wait(args, kwargs):
            if not refresher.submit(self.refresh_behind, load, args, kwargs):
                load.abort(False)
            return self.found(result, value, flags)
        now, fresh, fresh_flags = load.recheck()
        if now != MISS:  # another host has refreshed it, or is at it
            return self.found(result, value, flags) if now == STALE else self.found(now, fresh, fresh_flags)
        self.count("refreshes")
        try:
            return self.run(load, None, args, kwargs, remember=True)
        except Exception as error:
            self.not_refreshed(error)
            return self.found(result, value, flags)

    def refresh_behind(self, load: Load, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if load.recheck()[0] != MISS:  # another host has refreshed it, or is at it
                return
            self.count("refreshes")
            self.run(load, None, args, kwargs, remember=True)
        except Exception as error:
            self.not_refreshed(error)

    def aged(self, value: Any, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A hit that is older than refresh=. One call of this process sees to it."""
        self.count("stale")
        with self.lock:
            if key in self.refreshing:
                return value
            self.refreshing.add(key)
        if not self.options.must_wait(args, kwargs):
            if not refresher.submit(self.refresh_aged, key, args, kwargs):
                self.refreshing.discard(key)
            return value
        return self.refresh_aged(key, args, kwargs, value)

    def refresh_aged(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any = None) -> Any:
        try:
            result, now, load, flags = self.ns.begin(key, self.wait, soft_ttl=self.options.refresh)
            if load is not None and result not in (LEAD, BYPASS):
                result, now, flags = load.recheck()  # another host may have refreshed it, or be at it
            if load is None or load.ended:
                return self.newer(result, now, flags, value)
            self.count("refreshes")
            return self.run(load, None, args, kwargs, remember=True)
        except LoadError:  # it failed a moment ago, and is not tried again yet
            return value
        except Exception as error:
            self.not_refreshed(error)
            return value
        finally:
            with self.lock:
                self.refreshing.discard(key)


class Refresher:
    """The threads that refresh what sync functions found stale. Made when first needed, and anew in a forked child."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._pool: Optional[concurrent.futures.ThreadPoolExecutor] = None

    def submit(self, job: Callable[..., Any], *args: Any) -> bool:
        """False: the program is ending."""
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="libcache-refresh")
            try:
                self._pool.submit(contextvars.copy_context().run, job, *args)  # type: ignore[arg-type]
            except RuntimeError:
                return False
            return True


refresher = Refresher()


# ---- Coroutine functions --------------------------------------------------------------------------------------------------------------


class AsyncLoads(Loads):
    """The same, step by step, where a task may be cancelled at each await."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tasks: set[asyncio.Task[Any]] = set()  # a loop keeps no reference to its tasks

    async def miss(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        flight, failures = self.enter(key)
        try:
            try:
                result, value, load, flags = await self.ns.aio.begin(key, self.wait)
            except Error:
                self.count("misses")
                return await self.function(*args, **kwargs)
            if load is None:
                return self.found(result, value, flags)
            if result not in (LEAD, BYPASS):
                return await self.refresh(load, result, value, flags, args, kwargs)
            if flight.failures != failures and flight.error is not None:
                load.abort_soon(False)
                raise flight.error
            self.count("misses")
            return await self.run(load, flight, args, kwargs)
        finally:
            self.leave(key, flight)

    async def run(self, load: Load, flight: Optional[Flight], args: tuple[Any, ...], kwargs: dict[str, Any], remember: bool = False) -> Any:
        try:
            value = await self.function(*args, **kwargs)
        except Exception as error:
            self.failed(flight, error)
            record = self.to_commit_raised(error, args, kwargs)
            if record is None:
                load.abort_soon(remember)
            else:
                await load.commit_async(**record)
            raise
        except BaseException:  # cancelled: the next one leads
            load.abort_soon(False)
            raise
        try:
            await load.commit_async(**self.to_commit(value, args, kwargs))
        except BaseException as error:
            load.abort_soon(False)
            self.explain(error)
        return value

    async def refresh(self, load: Load, result: int, value: Any, flags: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.options.must_wait(args, kwargs):
            self.behind(self.refresh_behind(load, args, kwargs))
            return self.found(result, value, flags)
        now, fresh, fresh_flags = await load.recheck_async()
        if now != MISS:  # another host has refreshed it, or is at it
            return self.found(result, value, flags) if now == STALE else self.found(now, fresh, fresh_flags)
        self.count("refreshes")
        try:
            return await self.run(load, None, args, kwargs, remember=True)
        except Exception as error:
            self.not_refreshed(error)
            return self.found(result, value, flags)

    def behind(self, job: Any, key: bytes = b"") -> None:
        def done(task: asyncio.Task[Any]) -> None:  # even if it was cancelled before it began
            self.tasks.discard(task)
            self.refreshing.discard(key)

        task = asyncio.get_running_loop().create_task(job)
        self.tasks.add(task)
        task.add_done_callback(done)

    def forked(self) -> None:
        super().forked()
        self.tasks = set()

    async def refresh_behind(self, load: Load, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if (await load.recheck_async())[0] != MISS:  # another host has refreshed it, or is at it
                return
            self.count("refreshes")
            await self.run(load, None, args, kwargs, remember=True)
        except Exception as error:
            self.not_refreshed(error)

    async def aged(self, value: Any, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.count("stale")
        if key in self.refreshing:
            return value
        self.refreshing.add(key)
        if not self.options.must_wait(args, kwargs):
            self.behind(self.refresh_aged(key, args, kwargs), key)
            return value
        return await self.refresh_aged(key, args, kwargs, value)

    async def refresh_aged(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any = None) -> Any:
        try:
            result, now, load, flags = await self.ns.aio.begin(key, self.wait, soft_ttl=self.options.refresh)
            if load is not None and result not in (LEAD, BYPASS):
                result, now, flags = await load.recheck_async()
            if load is None or load.ended:
                return self.newer(result, now, flags, value)
            self.count("refreshes")
            return await self.run(load, None, args, kwargs, remember=True)
        except LoadError:
            return value
        except Exception as error:
            self.not_refreshed(error)
            return value
        finally:
            self.refreshing.discard(key)


# ---- Tags -----------------------------------------------------------------------------------------------------------------------------


def _tag_maker(source: TagSource, signature: inspect.Signature, name: str) -> Optional[Callable[[Call], Iterable[str]]]:
    if callable(source):
        return source
    texts = [source] if isinstance(source, str) else list(source)
    if not texts:
        return None
    if "result" in signature.parameters and any("{result" in text for text in texts):
        raise ValueError(f"{name}: tags: {{result}} could be the parameter or what is returned; use a function")
    templates = [Template.parse(text, [*signature.parameters, "result"], separated=False) for text in texts]

    def make(call: Call) -> list[str]:
        values = {"result": call.result, **call.arguments}
        return [t.render(values) for t in templates if call.result is not None or not t.mentions("result")]

    return make
