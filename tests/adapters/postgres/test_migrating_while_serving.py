"""Traffic continues while the schema is migrated to head."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from adapters.postgres.schema import schema_state
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from tests.adapters.postgres.behind import behind
from tests.people import deleted, delivered, new_id, user

OLDEST_SERVED = "0010"
"""The oldest schema that the statements of today work with."""

BEFORE_A_LOCK = "0006"
"""The next migration adds columns, which locks the table for a moment."""

LONGEST_WAIT = 5.0
"""Seconds: well within the 8 that a delivery may take in all."""


class Traffic:
    """An endless stream of webhooks. `longest` is the time of the slowest one, in seconds."""

    def __init__(self, users: PostgresUserRepository) -> None:
        self._users = users
        self.written = 0
        self.longest = 0.0

    async def flow(self) -> None:
        while True:
            user_id = new_id()
            for change in (user(user_id), user(user_id, updated=1), deleted(user_id)):
                began = time.monotonic()
                await self._users.sync(delivered(change))
                self.longest = max(self.longest, time.monotonic() - began)
                self.written += 1


@asynccontextmanager
async def traffic(url: str) -> AsyncIterator[Traffic]:
    """Run traffic during the block. The test fails if a request fails."""
    database = Database(url)
    await database.open()
    flowing = Traffic(PostgresUserRepository(database))
    tasks = [asyncio.create_task(flowing.flow()) for _ in range(4)]
    yield flowing
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()
    assert {type(end) for end in ends} == {asyncio.CancelledError}, ends


async def is_at_head(url: str) -> bool:
    database = Database(url)
    await database.open()
    try:
        return (await schema_state(database)).is_usable
    finally:
        await database.close()


async def test_a_migration_does_not_delay_traffic(postgres_url: str) -> None:
    async with behind(postgres_url, OLDEST_SERVED) as url, traffic(url) as flowing:
        await so_many_more(flowing, 50)
        assert not await is_at_head(url)
        await migrate(url)
        await so_many_more(flowing, 50)
        assert await is_at_head(url)


async def test_a_migration_that_waits_for_a_long_transaction_gives_up_before_traffic_has_to(
    postgres_url: str,
) -> None:
    async with behind(postgres_url, BEFORE_A_LOCK) as url:
        outsider, writer = await asyncpg.connect(url), await asyncpg.connect(url)
        async with outsider.transaction():
            await outsider.execute("lock table users in row exclusive mode")
            migrating = asyncio.create_task(migrate(url))
            began = time.monotonic()
            while not migrating.done():
                await writer.execute("update users set last_synced_at = now()", timeout=30)
                assert time.monotonic() - began < LONGEST_WAIT
                await asyncio.sleep(0.05)
            with pytest.raises(
                StorageUnavailable, match=r"another transaction holds .* again \(.* 55P03"
            ):
                await migrating
        await outsider.close()
        await writer.close()
        await migrate(url)
        assert await is_at_head(url)


async def so_many_more(flowing: Traffic, number: int) -> None:
    wanted = flowing.written + number
    async with asyncio.timeout(60):
        while flowing.written < wanted:
            await asyncio.sleep(0.01)
