"""What arrived and what it did."""

from collections.abc import AsyncIterator

import asyncpg

from adapters.postgres.database import Connection, Database
from adapters.postgres.journal_statements import HISTORY, entries_count, entries_page
from adapters.postgres.statements import LOCK_USERS, QUARANTINE, QUARANTINED
from domain.journal import JournalEntry, JournalFilter
from domain.observation import UnreadableDelivery
from domain.ports import Journal
from domain.user import Source, UserId

PAGE_SIZE = 50
"""Entries read at once. A body may have a megabyte."""


class PostgresJournal(Journal):
    """The `sync_journal` table, where it is not written along with a user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        await self._database.run(lambda connection: _quarantine(connection, delivery))

    async def quarantined(self) -> int:
        count: int = await self._database.run(lambda connection: connection.fetchval(QUARANTINED))
        return count

    async def count(self, wanted: JournalFilter) -> int:
        text, parameters = entries_count(wanted)
        number: int = await self._database.run(
            lambda connection: connection.fetchval(text, *parameters)
        )
        return number

    async def entries(self, wanted: JournalFilter) -> AsyncIterator[JournalEntry]:
        after, left = 0, wanted.limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
            page = await self._page(wanted, after, size)
            for entry in page:
                yield entry
            if len(page) < size:
                return
            after, left = page[-1].id, None if left is None else left - size

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        records = await self._database.run(lambda connection: connection.fetch(HISTORY, user_id))
        return [_entry(record) for record in records]

    async def _page(self, wanted: JournalFilter, after: int, size: int) -> list[JournalEntry]:
        text, parameters = entries_page(wanted, after, size)
        records = await self._database.run(lambda connection: connection.fetch(text, *parameters))
        return [_entry(record) for record in records]


def _entry(record: asyncpg.Record) -> JournalEntry:
    return JournalEntry(**{**record, "source": Source(record["source"])})


async def _quarantine(connection: Connection, delivery: UnreadableDelivery) -> None:
    async with connection.transaction():
        if delivery.clerk_id is not None:
            # A deletion takes the same lock: its erasure finds this body, or we find the tombstone.
            await connection.fetch(LOCK_USERS, [delivery.clerk_id])
        await connection.execute(
            QUARANTINE,
            delivery.svix_id,
            delivery.event_type,
            delivery.clerk_id,
            Source.WEBHOOK.value,
            delivery.occurred_at,
            delivery.reason,
            delivery.body,
        )
