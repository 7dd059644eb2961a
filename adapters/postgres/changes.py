"""The log of changes: numbered when it is read, and read by position."""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from adapters.postgres.change_statements import (
    AFTER,
    ENDS,
    EXPIRE,
    EXPIRED,
    HISTORY,
)
from adapters.postgres.database import Database
from adapters.postgres.numbering import Numbering
from domain.change_log import ChangeLog, LogEnds, without_gap
from domain.changes import Change, Kind
from domain.user import Source, UserId


class PostgresChangeLog(ChangeLog):
    """The table `user_changes`, which `statements.py` writes."""

    def __init__(self, database: Database, numbering: Numbering | None = None) -> None:
        self._database = database
        self._numbering = numbering or Numbering(database)

    async def number(self) -> int:
        return await self._numbering.number()

    async def after(self, position: int, limit: int) -> Sequence[Change]:
        rows = await self._database.run(lambda session: session.fetch(AFTER, position, limit))
        return without_gap(position, [change_of(row) for row in rows])

    async def history(self, user_id: UserId, newest: int | None = None) -> Sequence[Change]:
        rows = await self._database.run(lambda session: session.fetch(HISTORY, user_id, newest))
        return [change_of(row) for row in reversed(rows)]

    async def ends(self) -> LogEnds:
        row = await self._database.run(lambda session: session.fetchrow(ENDS))
        oldest, newest = row or (0, 0)
        return LogEnds(oldest=oldest, newest=newest)

    async def expire(self, older_than: timedelta, limit: int) -> int:
        count: int = await self._database.run(
            lambda session: session.fetchval(EXPIRE, older_than, limit)
        )
        return count

    async def expired(self, older_than: timedelta) -> int:
        count: int = await self._database.run(lambda session: session.fetchval(EXPIRED, older_than))
        return count


def change_of(row: asyncpg.Record) -> Change:
    return Change(
        clerk_id=row["clerk_id"],
        user_id=row["user_id"],
        kind=Kind(row["kind"]),
        changed=tuple(row["changed"]),
        source=Source(row["source"]),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        position=row["position"] or 0,
        traceparent=row["traceparent"],
    )
