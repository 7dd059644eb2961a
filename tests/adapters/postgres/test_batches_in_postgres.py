"""Batches of writes and of lookups on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import Outcome
from tests.people import delivered, new_id, user


async def test_a_locked_row_delays_only_its_own_item_of_a_batch(
    database: Database, store_url: str
) -> None:
    users = PostgresUserRepository(database)
    held, *others = [user(new_id()) for _ in range(12)]
    await users.sync(delivered(held))
    async with row_being_written(store_url, held.clerk_id):
        waiting, *unhindered = [
            asyncio.create_task(users.sync(delivered(one))) for one in (held, *others)
        ]
        results = await asyncio.gather(*unhindered)
        assert not waiting.done()
    assert {result.outcome for result in results} == {Outcome.CREATED}
    assert (await waiting).outcome is Outcome.UNCHANGED


@asynccontextmanager
async def row_being_written(url: str, user_id: str) -> AsyncIterator[None]:
    outsider = await asyncpg.connect(url)
    async with outsider.transaction():
        await outsider.execute(
            "update users set last_synced_at = now() where clerk_id = $1", user_id
        )
        yield
    await outsider.close()


async def test_lookups_of_one_batch_get_their_own_users(database: Database) -> None:
    users = PostgresUserRepository(database)
    people = [user(new_id(), first_name=str(number)) for number in range(20)]
    await asyncio.gather(*(users.sync(delivered(one)) for one in people))
    strangers = [new_id() for _ in range(5)]
    asked = [*(one.clerk_id for one in people), *strangers, people[0].clerk_id]
    found = await asyncio.gather(*map(users.get, asked))
    assert [one and one.clerk_id for one in found] == [
        *(one.clerk_id for one in people),
        *[None] * len(strangers),
        people[0].clerk_id,
    ]
