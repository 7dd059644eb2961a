"""Many callers, one piece of work: those who ask while it is under way share its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """At most one piece of work per key. A caller who gives up does not stop it for the others."""

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Task[Answer]] = {}
        self.landed = 0
        """How many pieces of work have ended. If it is the same as before, none did meanwhile."""

    async def run(self, key: Key, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the one flight for `key`; its error, if that is how it ended."""
        task = self._under_way.get(key) or self._start(key, work)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for everything under way, whatever its end."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _start(self, key: Key, work: Callable[[], Awaitable[Answer]]) -> asyncio.Task[Answer]:
        task = asyncio.ensure_future(_await(work))
        self._under_way[key] = task
        task.add_done_callback(lambda done: self._land(key, done))
        return task

    def _land(self, key: Key, task: asyncio.Task[Answer]) -> None:
        self._under_way.pop(key, None)
        self.landed += 1
        # Every caller may have been cancelled: look at the error, so that nobody calls it unseen.
        if not task.cancelled():
            task.exception()


async def _await(work: Callable[[], Awaitable[Answer]]) -> Answer:
    return await work()
