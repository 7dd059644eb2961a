"""A migration that takes long: no timeout of the server ends it, and who waits for it says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import Connection

from adapters.postgres.migrate import _run, migrate
from adapters.postgres.servers import Servers
from adapters.postgres.upgrade import ASK_AGAIN, LOCK
from domain.errors import StorageUnavailable
from domain.schema import Standing
from tests.adapters.postgres.behind import behind
from tests.adapters.postgres.faults import every_session_with
from tests.e2e.pooler import pooled
from tests.e2e.processes import eventually
from tests.postgres_server import Sql

BEFORE_AN_INDEX = "0014"
"""The next migration builds indexes concurrently."""

TIMEOUT = 400
"""Milliseconds."""

BUILDS = """
select count(*) from pg_stat_activity
where datname = current_database() and query like 'create index concurrently%'
    and state = 'active' and clock_timestamp() - query_start > $1 * interval '1 ms'
"""


@asynccontextmanager
async def held_up(url: str, *settings: str) -> AsyncIterator[Sql]:
    """During the block, no index can be built concurrently to the end. Yields a session.

    Later sessions in this database have the timeout as the default of the settings.
    """
    sql, reader = await asyncpg.connect(url), await asyncpg.connect(url)
    database = await sql.fetchval("select quote_ident(current_database())")
    known = "select name from pg_settings where name = any ($1::text[])"
    for (name,) in await sql.fetch(known, settings):
        await sql.execute(f"alter database {database} set {name} = {TIMEOUT}")
    async with reader.transaction(isolation="repeatable_read"):
        await reader.fetchval("select count(*) from users")
        yield sql
    await reader.close()
    await sql.close()


TIMEOUTS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)


@pytest.mark.parametrize("defaults", [(), TIMEOUTS], ids=["of the address", "of the database"])
async def test_no_timeout_ends_the_build_of_an_index(
    postgres_url: str, defaults: tuple[str, ...]
) -> None:
    async with behind(postgres_url, BEFORE_AN_INDEX) as url:
        address = url if defaults else f"{url}?statement_timeout={TIMEOUT}"
        async with held_up(url, *defaults) as sql:
            migrating = asyncio.create_task(migrate(address))

            async def has_outlasted_it() -> bool:
                return migrating.done() or bool(await sql.fetchval(BUILDS, 2 * TIMEOUT))

            await eventually(has_outlasted_it)
        assert (await migrating).standing is Standing.AT_HEAD


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_stricter_isolation_level_by_default_holds_no_index_up(
    postgres_url: str, level: str
) -> None:
    async with behind(postgres_url, BEFORE_AN_INDEX) as url:
        sql = await asyncpg.connect(url)
        async with every_session_with(sql, "default_transaction_isolation", level):
            async with asyncio.timeout(30):
                assert (await migrate(url)).standing is Standing.AT_HEAD
        await sql.close()


async def test_behind_a_pooler_a_timeout_holds_for_an_index_alone_and_is_explained(
    postgres_url: str,
) -> None:
    def take_long(connection: Connection, _: str | None) -> None:
        connection.exec_driver_sql(f"select pg_sleep({TIMEOUT * 2} / 1000.0)")

    async with behind(postgres_url, BEFORE_AN_INDEX) as url, pooled(url) as pooler:
        async with held_up(url, "statement_timeout"):
            await _run(Servers(pooler), take_long)
            with pytest.raises(StorageUnavailable, match=r"behind a pooler.* 57014"):
                await migrate(pooler)
        assert (await migrate(url)).standing is Standing.AT_HEAD


async def test_who_waits_for_another_migration_says_once_since_when_and_for_which_process(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(postgres_url, BEFORE_AN_INDEX) as url:
        other: Sql = await asyncpg.connect(url)
        async with other.transaction():
            await other.fetchval("select pg_advisory_xact_lock($1)", LOCK)
            began = await other.fetchval("select date_trunc('second', now())")
            migrating = asyncio.create_task(migrate(url, patience=0.1))
            await eventually(lambda: bool(said_by_us(caplog)))
            await asyncio.sleep(2 * ASK_AGAIN)
            assert not migrating.done()
        assert (await migrating).standing is Standing.AT_HEAD
        [message] = said_by_us(caplog)
        assert f"since {began:%Y-%m-%d %H:%M:%S}" in message
        assert f"pg_terminate_backend({other.get_server_pid()})" in message
        await other.close()


def said_by_us(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Servers of other tests may log at any time."""
    return [one.getMessage() for one in caplog.records if one.name == migrate.__module__]


async def test_the_server_ends_a_migration_whose_process_has_vanished(url: str) -> None:
    """Within a minute, by TCP's keepalives. The default of most systems is two hours."""

    def idle(connection: Connection, _: str | None) -> int:
        names = ("idle", "interval", "count")
        shown = (connection.exec_driver_sql(f"show tcp_keepalives_{name}") for name in names)
        wait, interval, count = (int(one.scalar_one()) for one in shown)
        return wait + interval * count

    assert 0 < await _run(Servers(url), idle) <= 60
