"""The console's pages, read from the store."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from adapters.postgres.console_statements import (
    ACTIVITY,
    ENTRY_BY_ID,
    FIRST_ID_SINCE,
    HIGHEST,
    LAST_DELIVERY_NEARBY,
    LAST_ID,
    LOWEST,
    QUARANTINE_GROUPS,
    SIZES,
    USERS_FOUND,
    blocks,
    entries_page,
    last_looked_at,
)
from adapters.postgres.database import Connection, Database
from domain.console import (
    Activity,
    Bucket,
    ConsoleReads,
    EntryPage,
    EntryQuery,
    FoundUser,
    QuarantineGroup,
    Sizes,
)
from domain.journal import JournalEntry
from domain.user import Outcome, Source

OVERLAP = timedelta(minutes=1)
"""Far longer than a writer may take between its time and its id: see `PoolLimits.deadline`."""


class PostgresConsoleReads(ConsoleReads):
    """Statements over `sync_journal` and `users`, each bounded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, query: EntryQuery) -> EntryPage:
        return await self._database.run(lambda connection: _entries(connection, query))

    async def entry(self, entry_id: int) -> JournalEntry | None:
        record = await self._database.run(
            lambda connection: connection.fetchrow(ENTRY_BY_ID, entry_id)
        )
        return None if record is None else _entry(record)

    async def activity(self, *, steps: int, step: timedelta, until: datetime) -> Activity:
        starts = [until - step * (steps - number) for number in range(steps)]
        records, weight = await self._database.run(
            lambda connection: _counted(connection, starts[0], step)
        )
        return Activity(
            step=step,
            buckets=_buckets(starts, records, weight),
            created_by=_created_by(records, weight),
            sampled=weight > 1,
        )

    async def last_delivery_at(self) -> datetime | None:
        moment: datetime | None = await self._database.run(
            lambda connection: connection.fetchval(LAST_DELIVERY_NEARBY)
        )
        return moment

    async def quarantine_groups(self) -> tuple[QuarantineGroup, ...]:
        records = await self._database.run(lambda connection: connection.fetch(QUARANTINE_GROUPS))
        return tuple(map(_group, records))

    async def find_users(self, text: str) -> tuple[FoundUser, ...]:
        wanted = (text, _uuid(text), [text, text.lower()])
        records = await self._database.run(
            lambda connection: connection.fetch(USERS_FOUND, *wanted)
        )
        return tuple(map(_found_user, records))

    async def sizes(self) -> Sizes:
        records = await self._database.run(lambda connection: connection.fetch(SIZES))
        return Sizes(**records[0])


async def _entries(connection: Connection, query: EntryQuery) -> EntryPage:
    low, high = await _bounds(connection, query)
    text, parameters = entries_page(query, low, high)
    found = tuple(map(_entry, await connection.fetch(text, *parameters)))
    if len(found) > query.limit:
        page = found[: query.limit]
        return EntryPage(entries=page, older=page[-1].id)
    text, parameters = last_looked_at(query, low, high)
    last = await connection.fetchrow(text, *parameters)
    if last is None:
        return EntryPage(entries=found)
    return EntryPage(entries=found, older=last["id"], looked_back_to=last["received_at"])


async def _bounds(connection: Connection, query: EntryQuery) -> tuple[int, int]:
    low, high = LOWEST, query.before or HIGHEST
    if query.since is not None:
        low = await connection.fetchval(FIRST_ID_SINCE, query.since - OVERLAP)
    if query.until is not None:
        high = min(high, await connection.fetchval(FIRST_ID_SINCE, query.until + OVERLAP))
    return low, high


async def _counted(
    connection: Connection, since: datetime, step: timedelta
) -> tuple[list[asyncpg.Record], float]:
    """The steps, and how many entries each one looked at stands for."""
    first = await connection.fetchval(FIRST_ID_SINCE, since - OVERLAP)
    last = await connection.fetchval(LAST_ID)
    apart, length = blocks(first, last)
    records = await connection.fetch(ACTIVITY, first, last, apart, length, step, since)
    return records, apart / length


def _buckets(
    starts: Sequence[datetime], records: Sequence[asyncpg.Record], weight: float
) -> tuple[Bucket, ...]:
    outcomes: dict[datetime, Counter[str]] = defaultdict(Counter)
    lags: dict[datetime, Sequence[timedelta]] = {}
    for record in records:
        if record["source"] is None:
            lags[record["start"]] = record["lags"] or ()
        elif record["source"] == Source.WEBHOOK:
            outcomes[record["start"]][record["outcome"]] += round(record["entries"] * weight)
    return tuple(_bucket(start, outcomes[start], lags.get(start, ())) for start in starts)


def _bucket(start: datetime, outcomes: Mapping[str, int], lags: Sequence[timedelta]) -> Bucket:
    p50, p99 = lags or (None, None)
    return Bucket(start=start, outcomes=outcomes, lag_p50=p50, lag_p99=p99)


def _created_by(records: Sequence[asyncpg.Record], weight: float) -> Counter[Source]:
    created: Counter[Source] = Counter()
    for record in records:
        if record["outcome"] == Outcome.CREATED:
            created[Source(record["source"])] += round(record["entries"] * weight)
    return created


def _entry(record: asyncpg.Record) -> JournalEntry:
    return JournalEntry(**{**record, "source": Source(record["source"])})


def _group(record: asyncpg.Record) -> QuarantineGroup:
    return QuarantineGroup(**{**record, "event_types": tuple(record["event_types"] or ())})


def _found_user(record: asyncpg.Record) -> FoundUser:
    return FoundUser(**{**record, "synced_by": Source(record["synced_by"])})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
