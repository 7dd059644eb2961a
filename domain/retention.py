"""What the journal may remember, and for how long."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.ports import JournalRetention

BATCH = 500
"""Rows in one statement: few enough that nobody waits for their locks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPeriods:
    """Bodies go first; entries outlive them, for `explain` and against late redeliveries."""

    bodies: timedelta
    entries: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How many bodies were erased, and how many whole entries removed."""

    bodies: int
    entries: int


class Retain:
    """Makes the journal forget what is due. Safe to repeat, to interrupt and to run twice."""

    def __init__(self, journal: JournalRetention, periods: RetentionPeriods) -> None:
        self._journal = journal
        self._periods = periods

    async def __call__(self, now: datetime) -> Forgotten:
        """In small batches, until nothing is due. Raises `StorageUnavailable`."""
        entries = await _until_done(self._journal.expire_entries, now - self._periods.entries)
        bodies = await _until_done(self._journal.expire_bodies, now - self._periods.bodies)
        return Forgotten(bodies=bodies, entries=entries)

    async def due(self, now: datetime) -> Forgotten:
        """What a run would do; a body whose entry goes too counts in both. Raises as above."""
        bodies, entries = await self._journal.expired(
            now - self._periods.bodies, now - self._periods.entries
        )
        return Forgotten(bodies=bodies, entries=entries)


async def _until_done(expire: Callable[[datetime, int], Awaitable[int]], before: datetime) -> int:
    total = 0
    while batch := await expire(before, BATCH):
        total += batch
    return total
