"""A two-tier cache: memory that all processes of a host share, in front of Redis that all hosts share.

    cache = libcache.Cache("redis://localhost", name="shop")
    users = cache.namespace("user_profile", ttl=300)
    users.set("42", {"name": "Ada"}, tags=["tenant:7"])
    users.get("42")                 # here and now
    await users.aio.get("42")       # the same for an event loop: does not suspend when memory has it
    cache.invalidate("tenant:7")
"""

from ._core import (
    BYPASS,
    HIT,
    LEAD,
    MISS,
    MISSING,
    NEGATIVE,
    STALE,
    WAIT,
    BusyError,
    ClosedError,
    DecodeError,
    EncodeError,
    Entry,
    Error,
    InvalidError,
    Load,
    LoadError,
    Lookup,
    LostError,
    NumberError,
    Rate,
    RedisError,
    TestClock,
    TooBigError,
    __version__,
    remove_segment,
)
from .cache import AsyncCache, AsyncLock, AsyncNamespace, Cache, Lock, Namespace
from .codecs import Codec, JsonCodec, PickleCodec
from .decorator import CacheInfo, Call
from .keys import UncacheableArgument

__all__ = [
    "BYPASS", "HIT", "LEAD", "MISS", "MISSING", "NEGATIVE", "STALE", "WAIT",
    "AsyncCache", "AsyncLock", "AsyncNamespace", "Cache", "Lock", "Namespace",
    "Codec", "JsonCodec", "PickleCodec",
    "CacheInfo", "Call", "UncacheableArgument",
    "BusyError", "ClosedError", "DecodeError", "EncodeError", "Error", "InvalidError", "LoadError", "LostError", "NumberError",
    "RedisError", "TooBigError",
    "Entry", "Load", "Lookup", "Rate", "TestClock", "__version__", "remove_segment",
]  # fmt: skip
