"""The log of changes in memory. It passes the same contract suite as Postgres."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.change_log import ChangeLog, LogEnds, without_gap
from domain.changes import Change
from domain.user import UserId
from tests.fakes.store import InMemoryStore


class InMemoryChangeLog(ChangeLog):
    """The changes of a store in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def number(self) -> int:
        await asyncio.sleep(0)
        newest = self._newest()
        for place, change in enumerate(self._store.changes):
            if change.position is None:
                newest += 1
                self._store.changes[place] = replace(change, position=newest)
        return newest

    async def after(self, position: int, limit: int) -> Sequence[Change]:
        await asyncio.sleep(0)
        later = [change for change in self._store.changes if (change.position or 0) > position]
        return without_gap(position, later[:limit])

    async def history(self, user_id: UserId) -> Sequence[Change]:
        await asyncio.sleep(0)
        return [change for change in self._store.changes if change.clerk_id == user_id]

    async def ends(self) -> LogEnds:
        await asyncio.sleep(0)
        positions = [change.position for change in self._store.changes if change.position]
        return LogEnds(oldest=min(positions, default=0), newest=self._newest())

    async def expire(self, older_than: timedelta, limit: int) -> int:
        await asyncio.sleep(0)
        until = datetime.now(UTC) - older_than
        oldest = [change for change in self._store.changes if change.position][:limit]
        due = [
            change
            for change in oldest
            if change.recorded_at < until and change.position != self._newest()
        ]
        self._store.changes = [one for one in self._store.changes if one not in due]
        return len(due)

    def _newest(self) -> int:
        return max((change.position or 0 for change in self._store.changes), default=0)
