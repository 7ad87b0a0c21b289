"""`@ns.cached(...)`: a function whose results are cached, for sync and async functions and methods.

    @users.cached(ttl=300, tags=["user:{user_id}"])
    async def profile(user_id: int, full: bool = False) -> dict: ...

    await profile(42)                 # from memory: no line of Python runs, the task does not suspend
    await profile.invalidate(42)      # with the arguments of a call
    await profile.cache_clear()       # all of this function's entries
    profile.cache_key(42), profile.cache_info(), profile.__wrapped__

A hit is answered by the C module (`_core.Cached`), keys are made by `keys.py`, what happens on a miss is `loads.py`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
import weakref
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, ParamSpec, Protocol, TypeVar, Union, overload

from . import _core
from ._core import Seconds
from .keys import KeySource, key_plan
from .loads import AsyncLoads, Call, Loads, Options, SyncLoads, TagSource, TtlSource
from .values import typed_namespace

if TYPE_CHECKING:
    from .cache import Namespace

__all__ = ["AsyncCachedFunction", "BoundCached", "CacheInfo", "CachedFunction", "Call", "Decorator", "cached"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class CacheInfo(NamedTuple):
    """Of one function in this process, since it was decorated."""

    hits: int  # calls that the cache answered
    misses: int  # calls that ran the function
    stale: int  # hits with an older value, which is being refreshed
    refreshes: int  # runs of the function while an older value was served
    errors: int  # runs that raised


# ---- What type checkers see ----------------------------------------------------------------------------------------------------------


class CachedFunction(Protocol[P, R_co]):
    """A decorated function. Of a method called on an instance the arguments are not checked, for mypy 1.0 cannot."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __get__(self, instance: None, owner: Any = ...) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = ...) -> CachedFunction[..., R_co]: ...
    @property
    def __wrapped__(self) -> Callable[P, R_co]: ...
    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Deletes the entry of a call with these arguments, in all tiers and on all hosts. Whether there was one."""

    def cache_clear(self) -> None:
        """Invalidates all entries of this function, at once."""

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """The key of a call with these arguments, in the function's namespace."""

    def cache_info(self) -> CacheInfo: ...


class AsyncCachedFunction(Protocol[P, R_co]):
    """A decorated coroutine function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    @overload
    def __get__(self, instance: None, owner: Any = ...) -> AsyncCachedFunction[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = ...) -> AsyncCachedFunction[..., R_co]: ...
    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]: ...
    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, bool]: ...
    def cache_clear(self) -> Coroutine[Any, Any, None]: ...
    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> bytes: ...
    def cache_info(self) -> CacheInfo: ...


class Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncCachedFunction[P, R]: ...  # type: ignore[misc]
    @overload
    def __call__(self, function: Callable[P, R], /) -> CachedFunction[P, R]: ...


# ---- Methods -------------------------------------------------------------------------------------------------------------------------


class BoundCached:
    """`instance.method` of a cached method, where it is not called at once. For inspect and asyncio it is a bound method."""

    __slots__ = ("__func__", "__self__", "__weakref__")
    __func__: Any
    __self__: Any

    def __init__(self, function: Any, instance: Any) -> None:
        object.__setattr__(self, "__func__", function)
        object.__setattr__(self, "__self__", instance)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return types.MethodType

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a bound method takes no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is BoundCached and other.__func__ is self.__func__ and other.__self__ is self.__self__

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__)))

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, self.__func__.__name__)

    def invalidate(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.invalidate(self.__self__, *args, **kwargs)

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.cache_key(self.__self__, *args, **kwargs)


# ---- Names ---------------------------------------------------------------------------------------------------------------------------

_local_functions: weakref.WeakValueDictionary[tuple[int, str, str], Any] = weakref.WeakValueDictionary()


def _cells(function: Any) -> list[Any]:
    cells = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # empty as yet
            cells.append(None)
    return cells


def _claim_name(ns: Namespace, name: str, function: Any, cached: Any) -> None:
    """A lambda, or a function made inside a function: another one may have the same name, and must not have the same keys."""
    if "<" not in name:
        return
    place = (id(ns.cache), ns.name, name)
    other = _local_functions.get(place)
    if other is not None:
        before = other.__wrapped__
        same = getattr(before, "__code__", None) is getattr(function, "__code__", None)
        if not same or any(a is not b for a, b in zip(_cells(before), _cells(function))):
            raise ValueError(
                f"two functions are called {name}, and would share their entries: give each one a name=, or, if they are to "
                "share, both the same"
            )
    _local_functions[place] = cached


def _name_of(function: Any, given: Optional[str], version: Union[str, int, None]) -> str:
    if given is not None and not given:
        raise ValueError("name must not be empty")
    if given is None:
        module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        if not module or not qualname:
            raise TypeError(f"{function!r} has no name: give it one with name=")
        given = f"{module}.{qualname}"
    return given if version is None else f"{given}@{version}"


# ---- The decorator -------------------------------------------------------------------------------------------------------------------


def _check_function(function: Any, named: bool) -> None:
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"put @cached below @{type(function).__name__}, next to the function")
    if isinstance(function, property):
        raise TypeError("put @cached below @property, next to the function")
    if inspect.ismethod(function) and not named:
        raise TypeError(
            f"cached: {function.__qualname__} is bound to an object, which would be no part of the key: decorate the function in its "
            "class, or give it a name= that says which object it is"
        )
    if not callable(function):
        raise TypeError(f"cached: {function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{getattr(function, '__qualname__', function)} is a generator: what it yields cannot be cached; return a list")
    if isinstance(function, type):
        raise TypeError(f"cached: {function.__qualname__} is a class; cache a function that makes it")


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return asyncio.iscoroutinefunction(function) or asyncio.iscoroutinefunction(getattr(function, "__call__", None))


def _in_seconds(time: Any) -> Optional[float]:
    return None if time is None else time.total_seconds() if hasattr(time, "total_seconds") else float(time)


_LIKE_A_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__", "__globals__", "__closure__", "__builtins__")


def _dress(cached: Any, function: Any, loads: Loads, plan: _core.KeyPlan, is_async: bool) -> None:
    """Makes a Cached look like the function that it wraps, and gives it what callers use."""
    functools.update_wrapper(cached, function)
    for name in _LIKE_A_FUNCTION:
        if hasattr(function, name):
            setattr(cached, name, getattr(function, name))
    if is_async:  # where there is no __code__ to see it from: a partial, an object with an async __call__
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(cached)
        elif hasattr(asyncio.coroutines, "_is_coroutine"):
            cached._is_coroutine = asyncio.coroutines._is_coroutine
    this = weakref.ref(cached)
    ns = loads.ns

    def cache_info() -> CacheInfo:
        counts = dict(loads.counts)
        hits = getattr(this(), "cache_hits", 0)
        return CacheInfo(hits + counts["hits"], counts["misses"], counts["stale"], counts["refreshes"], counts["errors"])

    cached.cache_key = plan.key
    cached.cache_info = cache_info
    cached.cache_namespace = ns

    async def invalidate(*args: Any, **kwargs: Any) -> bool:
        return await ns.aio.delete(plan.key(*args, **kwargs))

    async def cache_clear() -> None:
        await ns.cache.invalidate_async(loads.function_tag)

    if is_async:
        cached.invalidate, cached.cache_clear = invalidate, cache_clear
    else:
        cached.invalidate = lambda *args, **kwargs: ns.delete(plan.key(*args, **kwargs))
        cached.cache_clear = lambda: ns.cache.invalidate(loads.function_tag)


@overload
def cached(ns: Namespace, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncCachedFunction[P, R]: ...  # type: ignore[misc]
@overload
def cached(ns: Namespace, function: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cached(
    ns: Namespace,
    /,
    *,
    ttl: TtlSource = ...,
    tags: TagSource = ...,
    key: KeySource = ...,
    refresh: Optional[Seconds] = ...,
    lock: bool = ...,
    wait: Optional[Seconds] = ...,
    exclude: Iterable[Any] = ...,
    secret: Iterable[str] = ...,
    negative: Optional[Callable[[Any], bool]] = ...,
    store: Optional[Callable[[Any], bool]] = ...,
    exceptions: Union[type[Exception], tuple[type[Exception], ...]] = ...,
    type: Any = ...,
    memo: int = ...,
    name: Optional[str] = ...,
    version: Union[str, int, None] = ...,
) -> Decorator: ...
def cached(
    ns: Any,
    function: Any = None,
    /,
    *,
    ttl: Any = None,
    tags: Any = (),
    key: Any = None,
    refresh: Any = None,
    lock: bool = True,
    wait: Any = None,
    exclude: Any = (),
    secret: Any = (),
    negative: Any = None,
    store: Any = None,
    exceptions: Any = (),
    type: Any = None,
    memo: int = 0,
    name: Any = None,
    version: Any = None,
) -> Any:
    """Caches the results of a function in a namespace. Options that do not fit the function are an error when it is decorated.

    ttl         seconds, or a function of the result. Default: the namespace's
    tags        templates ("user:{user_id}", "org:{result[org_id]}"), or a function of a `Call` that gives tags
    key         a template, or a function of the arguments. Default: the function's name and all its arguments
    refresh     seconds: an older value is given out at once and refreshed behind; who refreshes looks first whether another host has done
                so. Default: the namespace's soft_ttl
    lock        one load at a time for a key (in all processes; on all hosts where the namespace's load_lease says so). False: each for
                itself
    wait        longest wait for somebody else's load, then load too. Default: the namespace's load_timeout
    exclude     parameters, by name or type, that are no part of the key
    secret      parameters that are in the key as a digest only
    negative    predicate of a result that says "not there": kept for the namespace's negative_ttl only
    store       predicate of a result: False, and it is not stored
    exceptions  exception classes that are cached, for negative_ttl. Default: none is
    type        what results are made of (a dataclass, a pydantic model, list[...]). Default: the return annotation
    memo        so many results are kept as objects in this process and given out as they are, as long as their entries hold: fast, and
                nobody may change them. Default: the namespace's
    name        instead of the function's module and name
    version     of what the function returns: another version has other keys
    """

    def decorate(function: Any) -> Any:
        _check_function(function, name is not None)
        own_name = _name_of(function, name, version)
        kinds = exceptions if isinstance(exceptions, tuple) else (exceptions,)
        if not all(isinstance(kind, builtin_type) and issubclass(kind, Exception) for kind in kinds):
            raise TypeError(f"{own_name}: exceptions must be exception classes")
        plan, must_wait = key_plan(function, name=own_name, key=key, exclude=exclude, secret=secret)
        is_async = _is_async(function)
        options = Options(ttl, tags, lock, wait, negative, store, kinds, _in_seconds(refresh), must_wait)
        loads = (AsyncLoads if is_async else SyncLoads)(typed_namespace(ns, function, type, memo), function, own_name, options)
        wrapper = _core.Cached(
            loads.ns, plan, function, loads.miss, BoundCached, is_async, aged=loads.aged, refresh=refresh,
            closely=bool(ns.policy()["early_percent"]),
        )  # fmt: skip
        _dress(wrapper, function, loads, plan, is_async)
        if name is None:
            _claim_name(ns, own_name, function, wrapper)
        return wrapper

    return decorate if function is None else decorate(function)


builtin_type = type
