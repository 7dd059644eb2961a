"""A first request writes its user with one statement, which returns the record."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.session import Session
from adapters.postgres.users import PostgresUserRepository
from domain.sync_user import SyncUser
from domain.user import DeletedUser, LocalUser, Outcome, Source, UserId
from tests.people import at, deleted, new_id, observed, user

Answer = TypeVar("Answer")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Sql: TypeAlias = "asyncpg.Connection[Any]"


class CountingDatabase(Database):
    """Counts the pieces of work that are sent to the store."""

    sent = 0

    async def run(
        self,
        work: Callable[[Session], Awaitable[Answer]],
        since: float | None = None,
        *,
        repeat: bool = True,
    ) -> Answer:
        self.sent += 1
        return await super().run(work, since, repeat=repeat)


@pytest.fixture
def users(database: Database) -> PostgresUserRepository:
    return PostgresUserRepository(database)


def first_seen(user_id: UserId, **fields: Any) -> SyncUser:
    return observed(user(user_id, **fields), Source.JIT)


async def traces_of(sql: Sql, user_id: UserId) -> dict[str, list[dict[str, Any]]]:
    """What is written about a user, without the ids and the times that each row has of its own."""
    own = {"id", "clerk_id", "user_id", "position", "created_at", "last_synced_at"}
    own |= {"received_at", "last_received_at", "recorded_at"}
    return {
        table: [
            {name: value for name, value in row.items() if name not in own}
            for row in await sql.fetch(f"select * from {table} where clerk_id = $1", user_id)
        ]
        for table in ("users", "sync_journal", "user_changes")
    }


async def test_a_new_user_is_one_statement(store_url: str) -> None:
    database = CountingDatabase(store_url)
    await database.open()
    try:
        users = PostgresUserRepository(database)
        result, record = await users.sync_and_get(first_seen(new_id(), email="ada@x.io"))
        assert database.sent == 1
    finally:
        await database.close()
    assert result.outcome is Outcome.CREATED
    assert isinstance(record, LocalUser)
    assert (record.email, record.synced_by) == ("ada@x.io", Source.JIT)


async def test_it_leaves_what_the_statement_with_the_rule_leaves(
    users: PostgresUserRepository, sql: Sql
) -> None:
    one, other = new_id(), new_id()
    fields = {"email": "ada@x.io", "first_name": "Ada", "public_metadata": {"plan": "pro"}}
    await users.sync_and_get(replace(first_seen(one, **fields), traceparent=TRACE))
    await users.sync(replace(first_seen(other, **fields), traceparent=TRACE))
    left = await traces_of(sql, one)
    assert left == await traces_of(sql, other)
    assert [len(rows) for rows in left.values()] == [1, 1, 1]
    assert left["user_changes"][0]["traceparent"] == TRACE


@pytest.mark.parametrize(
    ("stored", "outcome"), [(1, Outcome.UPDATED), (5, Outcome.STALE)], ids=["older", "newer"]
)
async def test_a_row_that_came_first_is_held_against_the_rule(
    users: PostgresUserRepository, stored: int, outcome: Outcome
) -> None:
    user_id = new_id()
    await users.sync(observed(user(user_id, updated=stored, email="first@x.io"), Source.WEBHOOK))
    result, record = await users.sync_and_get(first_seen(user_id, updated=3, email="jit@x.io"))
    assert result.outcome is outcome
    assert isinstance(record, LocalUser)
    assert record.clerk_updated_at == at(max(stored, 3))


async def test_a_tombstone_that_came_first_stays(users: PostgresUserRepository, sql: Sql) -> None:
    user_id = new_id()
    await users.sync(observed(deleted(user_id)))
    before = await traces_of(sql, user_id)
    result, record = await users.sync_and_get(first_seen(user_id))
    assert result.outcome is Outcome.GONE
    assert isinstance(record, DeletedUser)
    assert await traces_of(sql, user_id) == before


async def test_many_first_requests_at_once_create_one_row_one_entry_and_one_change(
    users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    answers = await asyncio.gather(
        *(users.sync_and_get(first_seen(user_id, updated=1)) for _ in range(20)),
        *(users.sync(first_seen(user_id, updated=1)) for _ in range(20)),
    )
    records = {
        answer[1].id
        for answer in answers
        if isinstance(answer, tuple) and isinstance(answer[1], LocalUser)
    }
    assert len(records) == 1
    assert [len(rows) for rows in (await traces_of(sql, user_id)).values()] == [1, 1, 1]
