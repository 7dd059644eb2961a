"""Handlers in processes that are killed, effects counted by plain SQL."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.change_handlers import EVERY_SOURCE, UNLUCKY
from tests.e2e.effects import EFFECTS, FORGET, judge, recorded
from tests.e2e.pooler import pgbouncer, pooled
from tests.e2e.workers import workers_on
from tests.people import deleted, delivered, new_id, observed, user
from tests.postgres_server import Sql


@pytest.fixture
async def effects(sql: Sql) -> AsyncIterator[Sql]:
    await sql.execute(EFFECTS)
    yield sql
    await sql.execute(FORGET)


async def lives(database: Database, people: list[UserId]) -> None:
    """Webhooks twice and out of order, first requests and deletions."""
    users = PostgresUserRepository(database)
    for place, one in enumerate(people):
        arrivals = [
            delivered(user(one, updated=1)),
            delivered(user(one, updated=3)),
            observed(user(one, updated=2)),
            *([delivered(deleted(one))] if place % 3 == 0 else []),
        ]
        random.shuffle(arrivals)
        await asyncio.gather(*map(users.sync, arrivals), *map(users.sync, arrivals))


async def eventually(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.1)


async def is_through(sql: Sql) -> bool:
    """Both subscriptions have come to the end, and nothing but the unlucky user is set aside."""
    return bool(
        await sql.fetchval(
            """
            select count(*) = 2 and bool_and(position = (select count(*) from user_changes))
                and not exists (
                    select from user_changes_set_aside where clerk_id <> $1 or state <> 'parked')
            from user_change_subscriptions
            """,
            UNLUCKY,
        )
    )


@pytest.mark.parametrize("behind_a_pooler", [False, True], ids=["direct", "pooled"])
async def test_workers_that_are_killed_lose_no_change_and_keep_each_users_order(
    clerk: ClerkEmulator,
    store: str,
    database: Database,
    effects: Sql,
    tmp_path: Path,
    *,
    behind_a_pooler: bool,
) -> None:
    if behind_a_pooler:
        pgbouncer()
    async with (
        pooled(store) if behind_a_pooler else _direct(store) as url,
        workers_on(clerk, url, store, tmp_path) as workers,
    ):
        await PostgresUserRepository(database).sync(delivered(user(UserId(UNLUCKY))))
        workers.start()
        for _ in range(5):
            workers.start()
            await lives(database, [new_id() for _ in range(60)])
            await asyncio.sleep(random.random() * 3)
            workers.kill(random.choice(list(workers.running)))
        if len(workers.running) < 2:
            workers.start()
        await eventually(lambda: is_through(effects), 90)
        assert await workers.stop() == [0] * len(workers.running)
        changes = await recorded(effects, EVERY_SOURCE)
        repeated = await judge(effects, "steady", changes)
        del changes[UNLUCKY]
        repeated += await judge(effects, "moody", changes)
        written = await effects.fetchval("select count(*) from effects")
    assert repeated < written / 2
    parked = "select position, attempts, error from user_changes_set_aside where state = 'parked'"
    [(position, attempts, error)] = await effects.fetch(parked)
    assert (attempts, error) == (11, "RuntimeError at change_handlers.py:47")
    assert position == await effects.fetchval(
        "select position from user_changes where clerk_id = $1", UNLUCKY
    )
    assert "secret@example.com" not in workers.log()


async def test_another_worker_takes_over_within_seconds_of_a_kill(
    clerk: ClerkEmulator, store: str, database: Database, effects: Sql, tmp_path: Path
) -> None:
    users = PostgresUserRepository(database)
    async with workers_on(clerk, store, store, tmp_path) as workers:

        async def pid_of_the_effect() -> int:
            one = new_id()
            await users.sync(delivered(user(one)))
            query = "select pid from effects where clerk_id = $1 and subscription = 'steady'"
            await eventually(lambda: effects.fetchval(query, one), 60)
            pid: int = await effects.fetchval(query, one)
            return pid

        workers.start()
        first = await pid_of_the_effect()
        workers.start()
        await asyncio.sleep(3)
        assert await pid_of_the_effect() == first
        [holder] = [process for process in workers.running if process.pid == first]
        workers.kill(holder)
        began = time.monotonic()
        assert await pid_of_the_effect() != first
        assert time.monotonic() - began < 12  # the lease is 5 s, and the machine may be busy


@asynccontextmanager
async def _direct(url: str) -> AsyncIterator[str]:
    yield url
