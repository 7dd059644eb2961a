"""Nothing that an operator asks of a long journal reads all of it in one statement."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.session import Session
from domain.journal import JournalQuery
from tests.postgres_server import Sql

ENTRIES = 50_000
PART = 300
"""Blocks of 8 KiB. The whole table has more than 600."""

FILL = """
insert into sync_journal (svix_id, event_type, source, outcome, error, received_at)
select 'msg_' || n, 'user.updated', 'webhook',
    case when n > $1 - 3 then 'quarantined' else 'updated' end,
    case when n > $1 - 3 then 'bug' end,
    now() - interval '1 s' * ($1 - n)
from generate_series(1, $1::integer) as n
"""


class Measured:
    """A database that keeps how many blocks each of its statements read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Session | None = None
        self.blocks: list[int] = []

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def measured(session: Session) -> Any:
            self._session = session
            return await work(self)

        return await self._database.run(measured)

    async def fetch(self, *asked: Any) -> Any:
        return await (await self._explained(*asked)).fetch(*asked)

    async def fetchrow(self, *asked: Any) -> Any:
        return await (await self._explained(*asked)).fetchrow(*asked)

    async def fetchval(self, *asked: Any) -> Any:
        return await (await self._explained(*asked)).fetchval(*asked)

    async def _explained(self, statement: str, *values: Any) -> Session:
        assert self._session is not None
        explain = f"explain (analyze, buffers, format json) {statement}"
        [plan] = json.loads(await self._session.fetchval(explain, *values))
        self.blocks.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
        return self._session


@pytest.fixture
async def measured(database: Database, sql: Sql) -> Measured:
    # Without the room that rows of other tests left, through which the new ones would be scattered.
    await sql.execute("truncate sync_journal")
    await sql.execute(FILL, ENTRIES)
    await sql.execute("vacuum analyze sync_journal")
    return Measured(database)


def journal_of(measured: Measured) -> PostgresJournal:
    return PostgresJournal(cast("Database", measured))


@pytest.mark.parametrize(
    "wanted",
    [
        JournalQuery(outcomes=frozenset({"quarantined"})),
        JournalQuery(error="bug", since=datetime.now(UTC) - timedelta(minutes=1)),
    ],
    ids=["by outcome", "by time"],
)
async def test_what_is_few_is_found_and_counted_without_a_look_at_the_rest(
    measured: Measured, wanted: JournalQuery
) -> None:
    journal = journal_of(measured)
    assert await journal.count(wanted) == 3
    assert len([one async for one in journal.deliveries(wanted)]) == 3
    assert sum(measured.blocks) < PART


async def test_what_no_index_finds_is_read_in_many_statements(measured: Measured) -> None:
    journal = journal_of(measured)
    nobody = JournalQuery(event_types=frozenset({"user.deleted"}))
    assert await journal.count(JournalQuery()) == ENTRIES
    assert await journal.count(JournalQuery(limit=7)) == 7
    assert [one async for one in journal.deliveries(nobody)] == []
    assert max(measured.blocks) < PART


async def test_what_is_due_is_counted_in_many_statements(measured: Measured, sql: Sql) -> None:
    retention, age = PostgresRetention(cast("Database", measured)), timedelta(hours=1)
    due = await sql.fetchval(
        "select count(*) from sync_journal where received_at < now() - interval '1 hour'"
    )
    _, counted = await retention.expired(age, age)
    assert due <= counted <= due + 60
    assert max(measured.blocks) < PART
