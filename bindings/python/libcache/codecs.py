"""How values become bytes where the typed codec of the C module is not what is wanted; docs/values.md has the formats."""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle
from typing import Any, Protocol

from ._core import DecodeError, EncodeError, decode
from .plain import plain_hooks

JSON = 4
PICKLE = 32


class Codec(Protocol):
    """A codec of the application. `encode` gives bytes and the codec byte (128 to 255: yours) that goes with them.

    What `decode` raises makes the value a missing one.
    """

    def encode(self, value: Any, /) -> tuple[Any, int]: ...
    def decode(self, data: bytes, codec: int, /) -> Any: ...


class JsonCodec:
    """JSON text (codec byte 4), for what others write and read. What is not JSON's (tuples, sets, times) is not kept."""

    def encode(self, value: Any, /) -> tuple[Any, int]:
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), JSON
        except ValueError as error:
            raise EncodeError(str(error)) from None

    def decode(self, data: bytes, codec: int, /) -> Any:
        return json.loads(data) if codec == JSON else decode(data, codec)


class PickleCodec:
    """pickle behind an HMAC-SHA256 (codec byte 32), made with a key of at least 16 bytes that only the application has.

    What is not signed with that key is never unpickled. The signature does not say of which entry it is: who can write to Redis can
    still put one signed value in the place of another.
    """

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes):
            raise TypeError(f"the key must be bytes, not {type(key).__name__}")
        if len(key) < 16:
            raise ValueError(f"the key must have 16 bytes at least, this one has {len(key)}")
        self._key = hashlib.sha256(b"libcache pickle\0" + key).digest()

    def encode(self, value: Any, /) -> tuple[Any, int]:
        data = pickle.dumps(value, 5)
        return hmac.digest(self._key, data, "sha256") + data, PICKLE

    def decode(self, data: bytes, codec: int, /) -> Any:
        if codec != PICKLE:
            return decode(data, codec)
        if not hmac.compare_digest(data[:32], hmac.digest(self._key, data[32:], "sha256")):
            raise DecodeError("not a value: a pickle that was not signed with this key")
        return pickle.loads(data[32:])


def codec_hooks(codec: Codec | None, declared: Any) -> dict[str, Any]:
    """The keywords of _core.Namespace that a codec, or a declared type, comes to."""
    if codec is not None:
        if declared is not None:
            raise TypeError("give a namespace a codec or a type, not both")
        return {"encode": codec.encode, "decode": codec.decode}
    return {} if declared is None else plain_hooks(declared)
