"""One run at a time, and what holds it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from adapters.postgres.exclusive import PostgresExclusive
from domain.errors import AlreadyRunning, StorageUnavailable

HOLDING = "select pid from pg_locks where locktype = 'advisory' and granted"
OF_THE_HOLDER = f"from pg_stat_activity where pid in ({HOLDING})"


@pytest.fixture
def exclusive(store_url: str) -> PostgresExclusive:
    return PostgresExclusive(store_url)


async def test_the_second_is_told_who_the_first_is(exclusive: PostgresExclusive) -> None:
    async with exclusive.hold("a test's", "backfill 17@somewhere"):
        with pytest.raises(AlreadyRunning) as refused:
            await exclusive.hold("a test's", "another").__aenter__()
    assert refused.value.holder == "backfill 17@somewhere"


async def test_what_has_another_name_runs_beside_it(exclusive: PostgresExclusive) -> None:
    async with exclusive.hold("a test's", "me"), exclusive.hold("another test's", "me too"):
        pass


async def test_the_lock_is_free_again_at_once(exclusive: PostgresExclusive) -> None:
    for _ in range(3):
        async with exclusive.hold("a test's", "me"):
            pass


async def test_the_lock_is_free_again_after_a_failure(exclusive: PostgresExclusive) -> None:
    with pytest.raises(ZeroDivisionError):
        async with exclusive.hold("a test's", "me"):
            _ = 1 / 0
    async with exclusive.hold("a test's", "me"):
        pass


async def test_it_is_held_by_a_transaction_that_holds_no_vacuum_back(
    exclusive: PostgresExclusive, sql: "asyncpg.Connection[Any]"
) -> None:
    async with exclusive.hold("a test's", "me"):
        (held,) = await sql.fetch(f"select state, backend_xid, backend_xmin {OF_THE_HOLDER}")
    assert tuple(held) == ("idle in transaction", None, None)


async def test_a_server_impatient_with_idle_transactions_lets_it_last(
    exclusive: PostgresExclusive, sql: "asyncpg.Connection[Any]", store_url: str
) -> None:
    name = store_url.rpartition("/")[2].partition("?")[0]
    await sql.execute(f'alter database "{name}" set idle_in_transaction_session_timeout = 100')
    try:
        async with exclusive.hold("a test's", "me"):
            await asyncio.sleep(0.3)
    finally:
        await sql.execute(f'alter database "{name}" reset idle_in_transaction_session_timeout')


async def test_a_run_whose_lock_is_lost_ends_and_says_so(
    exclusive: PostgresExclusive, sql: "asyncpg.Connection[Any]"
) -> None:
    async def run() -> None:
        async with exclusive.hold("a test's", "me"):
            await sql.execute(f"select pg_terminate_backend(pid) {OF_THE_HOLDER}")
            await asyncio.sleep(10)

    with pytest.raises(StorageUnavailable, match="the lock was lost with its connection"):
        await run()
    async with exclusive.hold("a test's", "me"):
        pass


async def test_a_deadline_of_the_run_itself_stays_one(exclusive: PostgresExclusive) -> None:
    with pytest.raises(TimeoutError):
        async with exclusive.hold("a test's", "me"), asyncio.timeout(0):
            await asyncio.sleep(10)
