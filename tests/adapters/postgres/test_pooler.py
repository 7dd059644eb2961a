"""Behind a pooler in transaction mode nothing may depend on a session's state."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.migrate import migrate
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.user import DeletedUser
from tests.e2e.pooler import pooled
from tests.people import deleted, delivered, new_id, user

NOTHING_KEPT = PoolLimits(size=12, statement_cache=0)


@pytest.fixture
async def pooler(store_url: str) -> AsyncIterator[str]:
    async with pooled(store_url) as url:
        yield url


async def test_users_are_written_and_deleted_through_a_pooler(pooler: str) -> None:
    database = Database(pooler, NOTHING_KEPT)
    await database.open()
    users = PostgresUserRepository(database)
    people = [new_id() for _ in range(40)]
    for change in (user, deleted):
        await asyncio.gather(*(users.sync(delivered(change(user_id))) for user_id in people))
    ends = [await users.get(user_id) for user_id in people]
    await database.close()
    assert all(isinstance(end, DeletedUser) for end in ends)


async def test_a_schema_is_migrated_through_a_pooler_by_many_at_once(pooler: str) -> None:
    await asyncio.gather(*(migrate(pooler) for _ in range(6)))


async def test_a_schema_of_its_own_works_through_a_pooler(pooler: str) -> None:
    """A pooler does not allow to set a `search_path`."""
    await asyncio.gather(*(migrate(pooler, "apart") for _ in range(3)))
    database = Database(pooler, PoolLimits(size=12), "apart")
    await database.open()
    users = PostgresUserRepository(database)
    people = [new_id() for _ in range(40)]
    await asyncio.gather(*(users.sync(delivered(user(user_id))) for user_id in people))
    assert None not in [await users.get(user_id) for user_id in people]
    count = "select count(*) from apart.users where clerk_id = any ($1::text[])"
    assert await database.run(lambda session: session.fetchval(count, people)) == 40
    await database.run(lambda session: session.execute("drop schema apart cascade"))
    await database.close()


@pytest.mark.parametrize("option", ["", "?pgbouncer=true"])
async def test_no_statement_is_kept_behind_a_pooler_whatever_the_setting(
    pooler: str, option: str
) -> None:
    """A kept statement has a name, and the next transaction's server does not know it."""
    database = Database(f"{pooler}{option}", PoolLimits(size=12, statement_cache=100))
    await database.open()
    users = PostgresUserRepository(database)
    people = [new_id() for _ in range(40)]
    await asyncio.gather(*(users.sync(delivered(user(user_id))) for user_id in people))
    assert None not in [await users.get(user_id) for user_id in people]
    await database.close()


async def test_an_option_that_the_pooler_refuses_is_said_to_be_the_addresss_fault(
    pooler: str,
) -> None:
    database = Database(f"{pooler}?search_path=shop")
    await database.open()
    with pytest.raises(StorageUnavailable, match="it refuses an option of the address"):
        await PostgresUserRepository(database).get(new_id())
    await database.close()


async def test_without_a_pooler_statements_are_kept(store_url: str) -> None:
    database = Database(store_url, PoolLimits(size=1, statement_cache=100))
    await database.open()
    kept = "select count(*) from pg_prepared_statements"
    await database.run(lambda connection: connection.fetchval(kept))
    assert await database.run(lambda connection: connection.fetchval(kept)) == 1
    await database.close()
