"""What a call that must wait for Redis gives: a future that asyncio.create_task and TaskGroup take as well."""

from __future__ import annotations

import asyncio
from typing import Any


class Reply(asyncio.Future):  # type: ignore[type-arg]
    """Awaited, gathered and waited for as a future; send, throw and close make it a collections.abc.Coroutine too."""

    __slots__ = ()

    def send(self, value: Any) -> Any:
        if not self.done():
            self._asyncio_future_blocking = True
            return self
        raise StopIteration(self.result())

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        raise kind if value is None else value

    def close(self) -> None:
        self.cancel()
