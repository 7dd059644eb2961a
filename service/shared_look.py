"""One look at the store for many callers at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")

KEPT = 1.0
"""Seconds for which a result is used again."""


class SharedLook(Generic[Seen]):
    """Calls `look` at most once at a time, and not again for `kept` seconds after it ended, unless
    `forget` is called.

    The cancellation of one caller does not end the look for the others. An error is raised to every
    caller that waited for it, and is not kept.
    """

    def __init__(self, look: Callable[[], Awaitable[Seen]], *, kept: float = KEPT) -> None:
        self._look = look
        self._kept = kept
        self._under_way: asyncio.Future[Seen] | None = None
        self._ended_at: float | None = None

    async def __call__(self) -> Seen:
        loop = asyncio.get_running_loop()
        is_old = self._ended_at is not None and loop.time() - self._ended_at >= self._kept
        if self._under_way is None or is_old:
            self._ended_at = None
            self._under_way = asyncio.ensure_future(self._look())
            self._under_way.add_done_callback(self._end)
        return await asyncio.shield(self._under_way)

    def forget(self) -> None:
        """Let the next call look again. A look under way goes on for those who wait for it."""
        self._under_way = None

    def _end(self, ended: "asyncio.Future[Seen]") -> None:
        if ended is not self._under_way:
            return
        self._ended_at = ended.get_loop().time()
        if ended.cancelled() or ended.exception() is not None:
            self._under_way = None
