"""One piece of work for many callers: calls for a key that is in flight share its result."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """At most one task per key. A cancelled caller does not cancel the task for the others."""

    def __init__(self) -> None:
        self._in_flight: dict[Key, asyncio.Task[Answer]] = {}
        self.ended = 0
        """How many tasks have ended: a caller compares two readings to see whether one did."""

    async def run(self, key: Key, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The result of the one task for `key`, or its error."""
        task = self._in_flight.get(key) or self._start(key, work)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for every task in flight, however it ends."""
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    def _start(self, key: Key, work: Callable[[], Awaitable[Answer]]) -> asyncio.Task[Answer]:
        task = asyncio.ensure_future(_await(work))
        self._in_flight[key] = task
        task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: Key, task: asyncio.Task[Answer]) -> None:
        self._in_flight.pop(key, None)
        self.ended += 1
        # Every caller may have been cancelled: retrieve the error, or asyncio logs it as unseen.
        if not task.cancelled():
            task.exception()


async def _await(work: Callable[[], Awaitable[Answer]]) -> Answer:
    return await work()
