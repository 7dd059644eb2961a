"""Calls for a key whose work is in flight share its result."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """At most one task per key. A cancelled caller does not cancel the task for the others."""

    def __init__(self) -> None:
        self._in_flight: dict[Key, asyncio.Task[Answer]] = {}
        self.ended = 0
        """How many tasks have ended. Two equal readings mean that none ended between them."""

    async def run(self, key: Key, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The result of the one task for `key`, or its error."""
        task = self._in_flight.get(key)
        if task is None:
            task = self._in_flight[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for every task in flight, however it ends."""
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    def _end(self, key: Key, task: asyncio.Task[Answer]) -> None:
        self._in_flight.pop(key, None)
        self.ended += 1
        # If every caller was cancelled, asyncio would log the error as never retrieved.
        if not task.cancelled():
            task.exception()
