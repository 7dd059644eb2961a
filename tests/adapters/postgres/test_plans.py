"""A hot statement is planned once for a connection, not for every batch."""

import pytest

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.session import qualified
from adapters.postgres.statements import GET_MANY, SYNC, SYNC_SKIP_LOCKED
from adapters.postgres.users import PostgresUserRepository
from tests.people import delivered, new_id, user

TRIED = 5
"""Executions before Postgres considers a generic plan (PostgreSQL manual, PREPARE)."""
PLANS = "select statement, generic_plans from pg_prepared_statements"


@pytest.mark.parametrize("schema", [None, "public"])
async def test_hot_statements_keep_one_plan_for_all_batches(
    store_url: str, schema: str | None
) -> None:
    database = Database(store_url, PoolLimits(size=1), schema)
    await database.open()
    users = PostgresUserRepository(database)
    for size in range(1, TRIED + 4):
        people = [user(new_id()) for _ in range(size)]
        await users.sync_many([delivered(one) for one in people])
        await users.sync(delivered(people[0]))
        await users.get_many([one.clerk_id for one in people])
    records = await database.run(lambda connection: connection.fetch(PLANS))
    await database.close()
    plans = {record["statement"]: record["generic_plans"] for record in records}
    hot = [qualified(one, schema) for one in (SYNC, SYNC_SKIP_LOCKED, GET_MANY)]
    assert [plans[one] > 0 for one in hot] == [True, True, True]
