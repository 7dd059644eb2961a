"""The journal: the `sync_journal` table, apart from the entries written along with a user."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from adapters.postgres.database import Database
from adapters.postgres.journal_statements import (
    ENTRY_BY_ID,
    FIRST_ID_SINCE,
    HIGHEST,
    HISTORY,
    LAST_DELIVERY,
    LOWEST,
    OVERLAP,
    SILENT_USERS,
    deliveries_count,
    deliveries_page,
    dismissal,
    end_of_span,
    entries_page,
    last_looked_at,
)
from adapters.postgres.session import Session
from adapters.postgres.statements import LOCK_USERS, QUARANTINE, QUARANTINE_SIZE
from domain.journal import (
    PAGE_SIZE,
    DeliveryWatch,
    EntryPage,
    Journal,
    JournalEntry,
    JournalPages,
    JournalQuery,
)
from domain.sync_user import UnreadableDelivery, second_svix_id
from domain.user import Source, UserId

READ_AT_ONCE = 50
"""Deliveries in one query. A body may have a megabyte."""


class PostgresJournal(Journal, JournalPages, DeliveryWatch):
    """Reads `sync_journal`, and quarantines deliveries there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        await self._database.run(lambda session: _quarantine(session, delivery))

    async def quarantined(self) -> int:
        count: int = await self._database.run(lambda session: session.fetchval(QUARANTINE_SIZE))
        return count

    async def dismiss(self, query: JournalQuery) -> int:
        text, parameters = dismissal(query)
        number: int = await self._database.run(
            lambda session: session.fetchval(text, *parameters), repeat=False
        )
        return number

    async def count(self, query: JournalQuery) -> int:
        total = 0
        async for after, last in self._spans(query):
            total += await self._value(*deliveries_count(query, after, last))
            if query.limit is not None and total >= query.limit:
                return query.limit
        return total

    async def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        left = HIGHEST if query.limit is None else query.limit
        async for start, last in self._spans(query):
            after = start
            while after < last:
                size = min(left, READ_AT_ONCE)
                text, parameters = deliveries_page(query, after, last, size)
                work = partial(_fetch, text=text, parameters=parameters)
                records = await self._database.run(work)
                for record in records:
                    yield _entry(record)
                left -= len(records)
                if left == 0:
                    return
                after = records[-1]["id"] if len(records) == size else last

    async def _spans(self, query: JournalQuery) -> AsyncIterator[tuple[int, int]]:
        """Ranges of ids, from above the one to the other, each for one statement to read."""
        low, high = await self._database.run(lambda session: _bounds(session, query))
        after = low - 1
        while after < high:
            last = min(await self._value(*end_of_span(query, after)) or high, high)
            yield after, last
            after = last

    async def _value(self, text: str, parameters: Sequence[Any]) -> Any:
        return await self._database.run(lambda session: session.fetchval(text, *parameters))

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        records = await self._database.run(lambda session: session.fetch(HISTORY, user_id))
        return [_entry(record) for record in records]

    async def page(self, query: JournalQuery, before: int | None = None) -> EntryPage:
        return await self._database.run(lambda session: _page(session, query, before))

    async def entry(self, entry_id: int) -> JournalEntry | None:
        record = await self._database.run(lambda session: session.fetchrow(ENTRY_BY_ID, entry_id))
        return None if record is None else _entry(record)

    async def silent_users(self, after: timedelta) -> int:
        count: int = await self._database.run(lambda session: session.fetchval(SILENT_USERS, after))
        return count

    async def last_delivery_at(self) -> datetime | None:
        ago: timedelta | None = await self._database.run(
            lambda session: session.fetchval(LAST_DELIVERY)
        )
        # The store tells how long ago, since its clock may differ from ours.
        return None if ago is None else datetime.now(UTC) - ago


async def _fetch(session: Session, *, text: str, parameters: Sequence[Any]) -> list[asyncpg.Record]:
    return await session.fetch(text, *parameters)


async def _bounds(session: Session, query: JournalQuery) -> tuple[int, int]:
    """The first id that the times of the query allow, and one that is above all of them."""
    low, high = LOWEST, HIGHEST
    if query.since is not None:
        low = await session.fetchval(FIRST_ID_SINCE, query.since - OVERLAP)
    if query.until is not None:
        high = await session.fetchval(FIRST_ID_SINCE, query.until + OVERLAP)
    return low, high


async def _page(session: Session, query: JournalQuery, before: int | None) -> EntryPage:
    limit = query.limit or PAGE_SIZE
    low, high = await _bounds(session, query)
    high = min(high, before or HIGHEST)
    text, parameters = entries_page(query, low, high, limit + 1)
    found = tuple(map(_entry, await session.fetch(text, *parameters)))
    if len(found) > limit:
        return EntryPage(entries=found[:limit], older=found[limit - 1].id)
    text, parameters = last_looked_at(query, low, high)
    last = await session.fetchrow(text, *parameters)
    if last is None:
        return EntryPage(entries=found)
    return EntryPage(entries=found, older=last["id"], looked_back_to=last["received_at"])


def _entry(record: asyncpg.Record) -> JournalEntry:
    return JournalEntry(**{**record, "source": Source(record["source"])})


async def _quarantine(session: Session, delivery: UnreadableDelivery) -> None:
    async with session.transaction():
        if delivery.clerk_id is not None:
            # A deletion takes the same lock: it erases this body, or we see its tombstone.
            await session.fetch(LOCK_USERS, [delivery.clerk_id])
        for svix_id in (delivery.svix_id, second_svix_id(delivery.svix_id, delivery.body)):
            kept = await session.fetchval(
                QUARANTINE,
                svix_id,
                delivery.event_type,
                delivery.clerk_id,
                Source.WEBHOOK.value,
                delivery.occurred_at,
                delivery.reason,
                delivery.body,
            )
            if kept is not None:
                return
