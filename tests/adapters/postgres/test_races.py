"""Two processes, the same users, at the same time."""

import asyncio
import os
import sys
from typing import Any, TypeAlias

import asyncpg

Sql: TypeAlias = "asyncpg.Connection[Any]"
TRIALS = int(os.environ.get("RACE_TRIALS", "300"))


async def racer(url: str, seed: int) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.adapters.postgres.racer", url, str(seed), str(TRIALS),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


async def test_two_processes_end_with_one_tombstone_each_and_no_deadlock(
    store_url: str, sql: Sql
) -> None:
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    before = await sql.fetchval(deadlocks)
    ends = await asyncio.gather(racer(store_url, 1), racer(store_url, 2))
    assert list(ends) == [(0, ""), (0, "")]

    rows = await sql.fetch("select deleted_at is not null as deleted from users")
    assert [row["deleted"] for row in rows] == [True] * TRIALS
    twice = await sql.fetch("select deliveries from sync_journal where svix_id is not null")
    assert [row["deliveries"] for row in twice] == [2] * (3 * TRIALS)
    effects = await sql.fetchval(
        "select max(n) from (select count(*) as n from sync_journal"
        " where outcome = 'deleted' group by clerk_id) as deletions"
    )
    assert effects == 1
    assert await sql.fetchval("select count(*) from sync_journal where body is not null") == 0
    await sql.execute("select pg_stat_clear_snapshot()")
    assert await sql.fetchval(deadlocks) == before
