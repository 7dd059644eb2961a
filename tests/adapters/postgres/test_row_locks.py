"""A batch locks the rows of its users, in the order of their ids, and no others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import UserChange, UserId
from tests.e2e.locks import row_locked, somebody_waits
from tests.e2e.processes import eventually
from tests.people import deleted, new_id, observed, outcomes_of, user
from tests.postgres_server import Sql

TOMBSTONE = "insert into users (clerk_id, deleted_at, synced_by) values ($1, now(), 'jit')"


def changed(user_id: UserId) -> UserChange:
    return user(user_id, updated=1)


@pytest.mark.parametrize("change", [user, changed, deleted])
async def test_a_locked_row_delays_no_batch_without_its_user(
    database: Database, store_url: str, change: Any
) -> None:
    users = PostgresUserRepository(database)
    held, *others = [new_id() for _ in range(4)]
    await users.sync_many([observed(user(one)) for one in (held, *others[:2])])
    async with row_locked(store_url, held), asyncio.timeout(30):
        await users.sync_many([observed(change(one)) for one in others])
        await users.sync(observed(change(others[0])))


async def test_a_writer_that_waits_for_a_row_holds_no_row_with_a_greater_id(
    database: Database, store_url: str, sql: Sql
) -> None:
    """In any order of the rows in the table, and in any order of the batch."""
    users = PostgresUserRepository(database)
    first, between, last = people = sorted(new_id() for _ in range(3))
    for one in reversed(people):
        await users.sync(observed(user(one)))
    page = [observed(changed(one)) for one in reversed(people)]
    async with row_locked(store_url, between):
        ours = asyncio.create_task(users.sync_many(page))
        await eventually(lambda: somebody_waits(sql))
        assert [await is_free(sql, one) for one in (first, last)] == [False, True]
    assert set(outcomes_of(await ours)) == {"updated"}


async def test_a_writer_that_waits_for_an_insert_has_written_no_row_with_a_greater_id(
    database: Database, store_url: str, sql: Sql
) -> None:
    """It then sees the inserted row, in any order of the batch."""
    users = PostgresUserRepository(database)
    first, between, last = people = sorted(new_id() for _ in range(3))
    page = [observed(user(one)) for one in reversed(people)]
    async with deletion_under_way(store_url, between):
        ours = asyncio.create_task(users.sync_many(page))
        await eventually(lambda: somebody_waits(sql))
        assert [await can_be_new(sql, one) for one in (first, last)] == [False, True]
    assert outcomes_of(await ours) == ["created", "gone", "created"]


@asynccontextmanager
async def deletion_under_way(url: str, user_id: UserId) -> AsyncIterator[None]:
    """Insert a row of a new user during the block, and commit at the end."""
    outsider: Sql = await asyncpg.connect(url)
    async with outsider.transaction():
        await outsider.execute(TOMBSTONE, user_id)
        yield
    await outsider.close()


async def can_be_new(sql: Sql, user_id: UserId) -> bool:
    """Whether no other session is inserting a row of that user."""
    attempt = sql.transaction()
    await attempt.start()
    try:
        await sql.execute("set local lock_timeout = '300ms'")
        await sql.execute(TOMBSTONE, user_id)
    except asyncpg.LockNotAvailableError:
        return False
    finally:
        await attempt.rollback()
    return True


async def is_free(sql: Sql, user_id: UserId) -> bool:
    free = "select from users where clerk_id = $1 for update skip locked"
    return bool(await sql.fetch(free, user_id))


async def test_a_deletion_that_comes_again_writes_no_row(database: Database, sql: Sql) -> None:
    users = PostgresUserRepository(database)
    user_id = new_id()
    written = "select xmin from users where clerk_id = $1"
    await users.sync(observed(deleted(user_id, when=5)))
    before = await sql.fetchval(written, user_id)
    for when in (5, 6):
        await users.sync(observed(deleted(user_id, when=when)))
        assert await sql.fetchval(written, user_id) == before
    await users.sync(observed(deleted(user_id, when=4)))
    assert await sql.fetchval(written, user_id) != before
