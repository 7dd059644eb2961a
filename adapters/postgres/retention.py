"""Deletes from the journal what is due, in small batches."""

from datetime import timedelta
from functools import partial
from typing import Any

from adapters.postgres.database import Database
from adapters.postgres.journal_statements import (
    BODIES_OF,
    EXPIRE_BODIES,
    EXPIRE_ENTRIES,
    EXPIRED_BODIES,
    EXPIRED_ENTRIES,
    LOWEST,
)
from adapters.postgres.session import Session
from adapters.postgres.statements import ERASE_BODIES
from domain.journal import JournalRetention
from domain.user import UserId


class PostgresRetention(JournalRetention):
    """Each batch is one statement in its own transaction, so that no lock is held for long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expire_bodies(self, older_than: timedelta, limit: int) -> int:
        return await self._changed(EXPIRE_BODIES, older_than, limit)

    async def expire_entries(self, older_than: timedelta, limit: int) -> int:
        return await self._changed(EXPIRE_ENTRIES, older_than, limit)

    async def expired(self, bodies: timedelta, entries: timedelta) -> tuple[int, int]:
        due_bodies: int = await self._database.run(
            lambda session: session.fetchval(EXPIRED_BODIES, bodies)
        )
        return due_bodies, await self._expired_entries(entries)

    async def _expired_entries(self, older_than: timedelta) -> int:
        total, after = 0, LOWEST
        while True:
            due, after = await self._database.run(partial(_next_due, older_than, after))
            if not due:
                return total
            total += due

    async def erase_bodies(self, user_id: UserId) -> int:
        return await self._changed(ERASE_BODIES, [user_id])

    async def bodies_of(self, user_id: UserId) -> int:
        count: int = await self._database.run(lambda session: session.fetchval(BODIES_OF, user_id))
        return count

    async def _changed(self, statement: str, *parameters: Any) -> int:
        """Run the statement. Returns the number of rows, from its command tag: `UPDATE 17`."""
        tag: str = await self._database.run(lambda session: session.execute(statement, *parameters))
        return int(tag.rpartition(" ")[2])


async def _next_due(older_than: timedelta, after: int, session: Session) -> tuple[int, int]:
    row = await session.fetchrow(EXPIRED_ENTRIES, older_than, after)
    due, last = row or (0, after)
    return due, last
