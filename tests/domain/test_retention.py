"""Retention must not slow down requests."""

import asyncio
from datetime import timedelta

from domain.journal import JournalRetention
from domain.retention import Retain, RetentionPeriods
from domain.user import UserId
from tests.fakes.changes import InMemoryChangeLog
from tests.fakes.store import InMemoryStore
from tests.simulation.virtual_time import in_virtual_time

PERIODS = RetentionPeriods(bodies=timedelta(days=30), entries=timedelta(days=90))
NO_CHANGES = InMemoryChangeLog(InMemoryStore())


class SlowJournal(JournalRetention):
    """Has a number of batches of bodies and of entries. Notes the times of its calls, in seconds."""

    def __init__(self, batches: int) -> None:
        self.left = {"bodies": batches, "entries": batches}
        self.worked: list[tuple[float, float]] = []

    async def expire_bodies(self, older_than: timedelta, limit: int) -> int:
        del older_than
        return await self._work("bodies", limit)

    async def expire_entries(self, older_than: timedelta, limit: int) -> int:
        del older_than
        return await self._work("entries", limit)

    async def _work(self, kind: str, limit: int) -> int:
        clock = asyncio.get_running_loop().time
        if not self.left[kind]:
            return 0
        self.left[kind] -= 1
        started = clock()
        await asyncio.sleep(0.02 * (1 + self.left[kind]))
        self.worked.append((started, clock()))
        return limit

    async def expired(self, bodies: timedelta, entries: timedelta) -> tuple[int, int]:
        del bodies, entries
        return self.left["bodies"], self.left["entries"]

    async def erase_bodies(self, user_id: UserId) -> int:
        raise AssertionError(f"nobody asked to erase {user_id}")

    async def bodies_of(self, user_id: UserId) -> int:
        raise AssertionError(f"nobody asked about {user_id}")


@in_virtual_time
async def test_it_pauses_three_times_as_long_as_each_batch_took() -> None:
    journal = SlowJournal(batches=4)
    await Retain(journal, NO_CHANGES, PERIODS, rests=3)()
    rests = [
        round((later - ended) / (ended - started), 6)
        for (started, ended), (later, _) in zip(journal.worked, journal.worked[1:], strict=False)
    ]
    assert rests == [3.0] * 7


@in_virtual_time
async def test_an_operators_run_makes_no_pauses() -> None:
    journal = SlowJournal(batches=4)
    began = asyncio.get_running_loop().time()
    await Retain(journal, NO_CHANGES, PERIODS)()
    worked = sum(ended - started for started, ended in journal.worked)
    assert round(asyncio.get_running_loop().time() - began, 6) == round(worked, 6)
