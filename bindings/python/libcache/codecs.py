"""How values become bytes where the typed codec of the C module is not what is wanted; docs/values.md has the formats."""

from __future__ import annotations

from typing import Any, Protocol


class Codec(Protocol):
    """A codec of the application. `encode` gives bytes and the codec byte (128 to 255: yours) that goes with them."""

    def encode(self, value: Any, /) -> tuple[Any, int]: ...
    def decode(self, data: bytes, codec: int, /) -> Any: ...


class JsonCodec:
    """JSON text (codec byte 4)."""

    def encode(self, value: Any, /) -> tuple[Any, int]: ...
    def decode(self, data: bytes, codec: int, /) -> Any: ...


class PickleCodec:
    """pickle behind an HMAC-SHA256 (codec byte 32). What was not signed with `key` is not unpickled: it is a miss."""

    def __init__(self, key: bytes) -> None: ...
    def encode(self, value: Any, /) -> tuple[Any, int]: ...
    def decode(self, data: bytes, codec: int, /) -> Any: ...


def codec_hooks(codec: Codec | None, declared: Any) -> dict[str, Any]: ...
