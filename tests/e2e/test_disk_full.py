"""The disk of the tables is really full."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.address import with_database
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users, sign_up
from tests.e2e.processes import environment_for, eventually, running_process
from tests.e2e.truth import assert_redelivery_settles_all, unrecorded
from tests.postgres_server import Sql, container, docker_answers

ROOM = 24
"""MiB, of which an empty database takes eight."""
BACK_WITHIN = 2.0


@pytest.fixture
async def tight_store() -> AsyncIterator[str]:
    """A database on a small file system. Postgres' log is on another one, or Postgres would crash."""
    if not await asyncio.to_thread(docker_answers):
        pytest.skip("no Docker engine answers")
    with container("postgres:16").with_tmpfs_mount("/tight", f"size={ROOM}m") as server:
        server.exec(["install", "--directory", "--owner=postgres", "/tight/data"])
        url = server.get_connection_url()
        admin = await asyncpg.connect(url)
        await admin.execute("create tablespace tight location '/tight/data'")
        await admin.execute("create database tight tablespace tight")
        await admin.close()
        yield with_database(url, "tight")


@pytest.mark.slow
async def test_a_full_disk_is_503_until_there_is_space_again(
    tight_store: str, clerk: ClerkEmulator, tmp_path: Path
) -> None:
    sql = await asyncpg.connect(tight_store)
    async with running_process(environment_for(clerk, tight_store), tmp_path) as service:
        known = sign_up(clerk)
        assert (await service.deliver(known)).status_code == 204
        async with Load(service, lives_of_users(clerk)) as load:
            await load.acknowledged(50)
            await fill(sql)
            await eventually(lambda: refused(load, 50), 30)
            assert (await service.me(clerk.session_token(known.user_id))).status_code == 200
            assert await service.status("/healthz") == 200
            await sql.execute("drop table filling")
            await load.acknowledged(50)
        assert {one.status for one in load.attempts} == {204, 503}
        assert all(one.retry_after for one in load.attempts if one.status == 503)
        assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
        await assert_redelivery_settles_all(load, clerk, sql)
    await sql.close()


async def fill(sql: Sql) -> None:
    """Fill the disk completely."""
    await sql.execute("create table filling (nothing text)")
    for rows in (1000, 100, 1):
        with pytest.raises(asyncpg.DiskFullError):
            await fill_on(sql, rows)


async def fill_on(sql: Sql, rows: int) -> None:
    """So many rows of two kilobytes at a time, until there is no room for that many."""
    while True:
        await sql.execute(
            "insert into filling select repeat('x', 2000) from generate_series(1, $1)", rows
        )


async def refused(load: Load, number: int) -> bool:
    return len(load.told(Fate.REFUSED)) >= number
