"""In whatever way the store delays a caller, the answer is in time and no session is left open."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.sync_user import SyncResult
from domain.user import UserId
from tests.e2e.locks import row_locked, somebody_waits
from tests.e2e.processes import eventually
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.truth import states_of_sessions
from tests.people import deleted, delivered, new_id, user
from tests.postgres_server import Sql

SHORT = PoolLimits(size=2, wait=0.4, connect=0.4, deadline=0.8, grace=0.4)
LONGEST = SHORT.deadline + SHORT.grace + 5.0
"""Five seconds of tolerance for a busy machine."""
PATIENT = PoolLimits(size=2, wait=10.0, connect=10.0, deadline=30.0)
SLEEPY = replace(PATIENT, grace=SHORT.grace)


@pytest.fixture
async def network(store_url: str) -> AsyncIterator[Proxy]:
    async with proxied(store_url) as network:
        yield network


@pytest.fixture
async def users(network: Proxy) -> AsyncIterator[PostgresUserRepository]:
    """A pool of two connections with short timeouts."""
    database = Database(network.url, SHORT)
    await database.open()
    yield PostgresUserRepository(database)
    network.heal()
    await database.close()


@pytest.fixture
async def known(database: Database) -> UserId:
    user_id = new_id()
    await PostgresUserRepository(database).sync(delivered(user(user_id)))
    await database.close()
    return user_id


async def works_again(writing: Callable[[], Awaitable[SyncResult]]) -> None:
    """Repeated, because a busy machine may fail the first try."""

    async def works() -> bool:
        try:
            await writing()
        except StorageUnavailable:
            return False
        return True

    await eventually(works)


async def assert_unavailable_in_time(*works: Awaitable[Any]) -> set[str]:
    """Returns what the errors say."""
    began = time.monotonic()
    ends = await asyncio.gather(*works, return_exceptions=True)
    assert [type(end) for end in ends] == [StorageUnavailable] * len(works)
    assert time.monotonic() - began < LONGEST
    return set(map(str, ends))


async def nothing_is_left(sql: Sql) -> None:
    async def idle() -> bool:
        states = await states_of_sessions(sql)
        return len(states) <= SHORT.size and set(states) <= {"idle"}

    await eventually(idle)


SLEEP = "select pg_sleep(3)"


async def somebody_sleeps(sql: Sql) -> bool:
    query = "select exists (select from pg_stat_activity where query = $1 and state = 'active')"
    return bool(await sql.fetchval(query, SLEEP))


async def test_a_locked_row_is_waited_for_until_the_deadline(
    users: PostgresUserRepository, known: UserId, store_url: str, sql: Sql
) -> None:
    async with row_locked(store_url, known):
        await assert_unavailable_in_time(
            users.sync(delivered(user(known, updated=1))), users.sync(delivered(deleted(known)))
        )
        await nothing_is_left(sql)
    await works_again(lambda: users.sync(delivered(deleted(known))))


async def test_an_exhausted_pool_is_waited_for_no_longer_than_it_may_be(
    users: PostgresUserRepository, known: UserId, store_url: str
) -> None:
    async with row_locked(store_url, known):
        said = await assert_unavailable_in_time(
            *(users.sync(delivered(user(known, updated=n))) for n in range(1, 9))
        )
    assert said == {
        "no answer in time (TimeoutError)",
        "no connection was free or could be opened in time",
    }
    await works_again(lambda: users.sync(delivered(user(known, updated=9))))


async def test_a_network_that_died_in_mid_transaction_is_given_up(
    users: PostgresUserRepository,
    known: UserId,
    network: Proxy,
    store_url: str,
    sql: Sql,
) -> None:
    async with row_locked(store_url, known):
        leaving = asyncio.create_task(users.sync(delivered(deleted(known))))
        await eventually(lambda: somebody_waits(sql))
        network.stall()
        await assert_unavailable_in_time(
            leaving, *(users.sync(delivered(user(new_id()))) for _ in range(6))
        )
    network.heal()
    await nothing_is_left(sql)
    await works_again(lambda: users.sync(delivered(deleted(known))))


async def test_a_network_that_drips_is_given_up(
    users: PostgresUserRepository, known: UserId, network: Proxy, sql: Sql
) -> None:
    network.piece, network.delay = 1, 0.02
    await assert_unavailable_in_time(users.get(known), users.sync(delivered(deleted(known))))
    network.heal()
    await nothing_is_left(sql)
    await works_again(lambda: users.sync(delivered(deleted(known))))


async def test_a_connection_reset_in_mid_answer_is_made_up_for(
    known: UserId, network: Proxy
) -> None:
    database = Database(network.url, PATIENT)
    await database.open()
    users = PostgresUserRepository(database)
    for version in range(1, 6):
        writing = asyncio.create_task(users.sync(delivered(user(known, updated=version))))
        await network.reset_mid_answer()
        assert (await writing).outcome in {"updated", "unchanged"}
    await database.close()


async def test_a_cancelled_caller_on_a_dead_network_sees_the_cancellation(
    network: Proxy, sql: Sql
) -> None:
    """As by Ctrl-C: the server never confirms that the statement was cancelled."""
    database = Database(network.url, SLEEPY)
    await database.open()
    sleeping = asyncio.create_task(database.run(lambda one: one.fetch(SLEEP)))
    await eventually(lambda: somebody_sleeps(sql))
    network.stall()
    sleeping.cancel()
    await asyncio.wait([sleeping], timeout=LONGEST)
    assert sleeping.cancelled()
    network.heal()
    await database.close()
    await nothing_is_left(sql)
