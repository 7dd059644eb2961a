"""Figures and searches for the console's pages."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from adapters.postgres.console_statements import (
    ACTIVITY,
    CHANGED_SINCE,
    LAST_ID,
    NAMES_OF,
    NEWEST_USERS,
    QUARANTINE_GROUPS,
    SIZES,
    USERS_FOUND,
    USERS_LIKE,
    blocks,
)
from adapters.postgres.database import Database
from adapters.postgres.journal_statements import FIRST_ID_SINCE, OVERLAP
from adapters.postgres.session import Session
from domain.console import (
    USERS_ON_A_PAGE,
    Activity,
    Bucket,
    ConsoleReads,
    FoundUser,
    ListedDrift,
    QuarantineGroup,
    Sizes,
)
from domain.user import Outcome, Source


class PostgresConsoleReads(ConsoleReads):
    """Statements over `sync_journal` and `users`, each bounded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def activity(self, *, steps: int, step: timedelta, until: datetime) -> Activity:
        starts = [until - step * (steps - number) for number in range(steps)]
        records, weight = await self._database.run(
            lambda session: _counted(session, starts[0], step)
        )
        return Activity(
            step=step,
            buckets=_buckets(starts, records, weight),
            created_by=_created_by(records, weight),
            sampled=weight > 1,
        )

    async def quarantine_groups(self) -> tuple[QuarantineGroup, ...]:
        records = await self._database.run(lambda session: session.fetch(QUARANTINE_GROUPS))
        return tuple(map(_group, records))

    async def find_users(self, text: str) -> tuple[FoundUser, ...]:
        emails = [text, text.lower()]
        any_address = [orjson.dumps([{"address": email}]).decode() for email in emails]
        wanted = (text, _uuid(text), emails, any_address)
        records = await self._database.run(lambda session: session.fetch(USERS_FOUND, *wanted))
        return tuple(map(_found_user, records))

    async def users_like(self, prefix: str) -> tuple[FoundUser, ...]:
        wanted = (prefix, "\U0010ffff", USERS_ON_A_PAGE)
        records = await self._database.run(lambda session: session.fetch(USERS_LIKE, *wanted))
        return tuple(map(_found_user, records))

    async def newest_users(self) -> tuple[FoundUser, ...]:
        records = await self._database.run(
            lambda session: session.fetch(NEWEST_USERS, USERS_ON_A_PAGE)
        )
        return tuple(map(_found_user, records))

    async def names_of(self, user_ids: Collection[str]) -> Mapping[str, str]:
        if not user_ids:
            return {}
        records = await self._database.run(lambda session: session.fetch(NAMES_OF, list(user_ids)))
        return {record["clerk_id"]: record["name"] for record in records if record["name"]}

    async def changed_since(self, listed: Collection[ListedDrift]) -> frozenset[str]:
        columns = (
            [one.clerk_id for one in listed],
            [one.moment for one in listed],
            [one.observed_at for one in listed],
            [one.is_deleted for one in listed],
        )
        records = await self._database.run(lambda session: session.fetch(CHANGED_SINCE, *columns))
        return frozenset(record["clerk_id"] for record in records)

    async def sizes(self) -> Sizes:
        records = await self._database.run(lambda session: session.fetch(SIZES))
        return Sizes(**records[0])


async def _counted(
    session: Session, since: datetime, step: timedelta
) -> tuple[list[asyncpg.Record], float]:
    """The counts of each step, and how many entries each counted entry stands for."""
    first = await session.fetchval(FIRST_ID_SINCE, since - OVERLAP)
    last = await session.fetchval(LAST_ID)
    apart, length = blocks(first, last)
    records = await session.fetch(ACTIVITY, first, last, apart, length, step, since)
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


def _group(record: asyncpg.Record) -> QuarantineGroup:
    return QuarantineGroup(**{**record, "event_types": tuple(record["event_types"] or ())})


def _found_user(record: asyncpg.Record) -> FoundUser:
    return FoundUser(**{**record, "synced_by": Source(record["synced_by"])})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
