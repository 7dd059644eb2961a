"""The newest position, polled once for all readers of a process."""

import asyncio

from domain.change_log import ChangeLog
from domain.errors import StorageUnavailable

EVERY = 0.1
"""Seconds between two polls, while a reader waits."""

AFTER_A_FAILURE = 1.0


class NewestPosition:
    """Numbers new changes, and wakes the readers that wait. Polls only if one waits."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._newest = 0
        self._waiting = 0
        self._moved = asyncio.Condition()
        self._wanted = asyncio.Event()

    async def beyond(self, position: int) -> int:
        """The newest position, as soon as it is greater than `position`."""
        self._waiting += 1
        self._wanted.set()
        try:
            async with self._moved:
                await self._moved.wait_for(lambda: self._newest > position)
                return self._newest
        finally:
            self._waiting -= 1

    def has_lost(self, position: int) -> bool:
        """Whether the last look found the newest position to be lower than that one."""
        return self._newest < position

    async def watch(self) -> None:
        """Poll until cancelled. A failure of the store only delays the next poll."""
        while True:
            await self._wanted.wait()
            try:
                await self.look()
            except StorageUnavailable:
                await asyncio.sleep(AFTER_A_FAILURE)
            await asyncio.sleep(EVERY)
            if not self._waiting:
                self._wanted.clear()

    async def look(self) -> int:
        """The newest position, read now. Raises `StorageUnavailable`."""
        newest = await self._log.number()
        if newest != self._newest:  # it may go back: a failover can lose what was not replicated
            async with self._moved:
                self._newest = newest
                self._moved.notify_all()
        return newest
