"""One run at a time, by a lock."""

import asyncio
import gc

import asyncpg
import pytest

from adapters.postgres.exclusive import PostgresExclusive
from domain.errors import StorageUnavailable
from tests.adapters.postgres.faults import every_session_with
from tests.e2e.processes import eventually
from tests.e2e.proxy import Proxy, proxied
from tests.postgres_server import Sql

HOLDING = """
select pid from pg_locks where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
"""
OF_THE_HOLDER = f"from pg_stat_activity where pid in ({HOLDING})"


@pytest.fixture
def exclusive(store_url: str) -> PostgresExclusive:
    return PostgresExclusive(store_url)


async def test_it_is_held_by_a_transaction_that_holds_no_vacuum_back(
    exclusive: PostgresExclusive, sql: Sql
) -> None:
    async with exclusive.hold("a test's", "me"):
        (held,) = await sql.fetch(f"select state, backend_xid, backend_xmin {OF_THE_HOLDER}")
    assert tuple(held) == ("idle in transaction", None, None)


async def test_a_server_impatient_with_idle_transactions_lets_it_last(
    exclusive: PostgresExclusive, sql: Sql, store_url: str
) -> None:
    """Hold the lock longer than the idle timeout, which ends another session."""
    async with every_session_with(sql, "idle_in_transaction_session_timeout", "2s"):
        other = await asyncpg.connect(store_url)
        async with exclusive.hold("a test's", "me"):
            await other.execute("begin")
            await eventually(other.is_closed)


async def test_a_run_whose_lock_is_lost_ends_and_says_so(
    exclusive: PostgresExclusive, sql: Sql
) -> None:
    async def run() -> None:
        async with exclusive.hold("a test's", "me"):
            await sql.execute(f"select pg_terminate_backend(pid) {OF_THE_HOLDER}")
            await asyncio.Event().wait()

    with pytest.raises(StorageUnavailable, match="the lock was lost with its connection"):
        await run()
    async with exclusive.hold("a test's", "me"):
        pass


async def test_the_lock_is_not_silent_for_long_and_a_network_that_forgets_it_ends_the_run(
    store_url: str, sql: Sql
) -> None:
    async def is_asked() -> bool:
        return bool(await sql.fetchval(f"select bool_or(query = 'select 1') {OF_THE_HOLDER}"))

    async def run(proxy: Proxy) -> None:
        async with PostgresExclusive(proxy.url, silence=0.1).hold("a test's", "me"):
            await eventually(is_asked)
            proxy.stall()
            await asyncio.Event().wait()

    async with proxied(store_url) as proxy:
        with pytest.raises(StorageUnavailable, match="the lock was lost with its connection"):
            await run(proxy)


async def test_a_run_cancelled_while_it_releases_the_lock_leaves_no_session(
    exclusive: PostgresExclusive, sql: Sql
) -> None:
    async def run() -> None:
        async with exclusive.hold("a test's", "me"):
            ourselves = asyncio.current_task()
            assert ourselves
            ourselves.cancel()  # the cancellation arrives at the next await: the rollback

    async def nobody_holds() -> bool:
        return not await sql.fetch(HOLDING)

    running = asyncio.create_task(run())
    await asyncio.wait([running])
    assert running.cancelled()
    del running
    await eventually(nobody_holds)
    gc.collect()  # a connection left to the garbage collector is a warning, which fails the test


async def test_a_deadline_of_the_run_itself_stays_one(exclusive: PostgresExclusive) -> None:
    with pytest.raises(TimeoutError):
        async with exclusive.hold("a test's", "me"), asyncio.timeout(0):
            await asyncio.sleep(10)
