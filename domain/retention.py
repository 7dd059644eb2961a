"""Retention: delete journal bodies, entries and changes whose period is over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from domain.change_log import ChangeLog
from domain.journal import JournalRetention

BATCH = 500
"""Rows in one statement: few, so that other writers wait only briefly for their locks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPeriods:
    """How long each is kept. Entries outlive bodies, for `explain` and for late redeliveries."""

    bodies: timedelta
    entries: timedelta
    changes: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """How many bodies, whole entries and changes are past their periods."""

    bodies: int
    entries: int
    changes: int = 0


class Retain:
    """Deletes what is due. Safe to repeat, to interrupt and to run twice at once.

    After each batch it pauses `rests` times as long as the batch took: with 3, it works at most a
    quarter of the time.
    """

    def __init__(
        self,
        journal: JournalRetention,
        changes: ChangeLog,
        periods: RetentionPeriods,
        *,
        rests: float = 0.0,
    ) -> None:
        self._journal = journal
        self._changes = changes
        self._periods = periods
        self._rests = rests

    async def __call__(self) -> Expired:
        """Delete in small batches, until nothing is due. Raises `StorageUnavailable`."""
        entries = await self._until_done(self._journal.expire_entries, self._periods.entries)
        bodies = await self._until_done(self._journal.expire_bodies, self._periods.bodies)
        # Only a change with a position expires. Without a reader, none has been given one.
        await self._changes.number()
        changes = await self._until_done(self._changes.expire, self._periods.changes)
        return Expired(bodies=bodies, entries=entries, changes=changes)

    async def due(self) -> Expired:
        """What a run would delete; a body whose entry is due counts in both. Raises the same."""
        bodies, entries = await self._journal.expired(self._periods.bodies, self._periods.entries)
        changes = await self._changes.expired(self._periods.changes)
        return Expired(bodies=bodies, entries=entries, changes=changes)

    async def _until_done(
        self, expire: Callable[[timedelta, int], Awaitable[int]], older_than: timedelta
    ) -> int:
        clock = asyncio.get_running_loop().time
        total, started = 0, clock()
        while batch := await expire(older_than, BATCH):
            total += batch
            await asyncio.sleep(self._rests * (clock() - started))
            started = clock()
        return total
