"""Several processes write the same users at the same time."""

import asyncio
import sys
from collections.abc import Callable

import pytest

from tests.adapters.postgres.racer import DELIVERED_AT
from tests.people import at
from tests.postgres_server import Sql

WEBHOOKS = 3

DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
STATISTICS_LAG = 1.1
"""Seconds until the counters of a session are in Postgres' statistics."""


async def racer(url: str, seed: int, trials: int) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.adapters.postgres.racer", url, str(seed), str(trials),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


@pytest.mark.parametrize(
    ("processes", "trials"),
    [
        (2, 50),
        pytest.param(2, 2000, marks=pytest.mark.slow),
        pytest.param(4, 2000, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(600)
async def test_processes_that_race_leave_one_tombstone_each_no_body_and_no_deadlock(  # noqa: PLR0917
    store_url: str,
    sql: Sql,
    processes: int,
    trials: int,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    before = await sql.fetchval(DEADLOCKS)
    ends = await asyncio.gather(
        *(racer(store_url, seed + number, trials) for number in range(processes))
    )
    assert list(ends) == [(0, "")] * processes

    rows = await sql.fetch("select clerk_id, deleted_at from users")
    assert len({row["clerk_id"] for row in rows}) == len(rows) == trials
    assert {row["deleted_at"] for row in rows} == {at(DELIVERED_AT)}
    entries = await sql.fetch("select deliveries from sync_journal where svix_id is not null")
    assert [entry["deliveries"] for entry in entries] == [processes] * (WEBHOOKS * trials)
    deletions = await sql.fetchval(
        "select max(n) from (select count(*) as n from sync_journal"
        " where outcome = 'deleted' group by clerk_id) as deletions"
    )
    assert deletions == 1
    assert await sql.fetchval("select count(*) from sync_journal where body is not null") == 0
    deadlocks = await deadlocks_since(sql, before)
    assert deadlocks == 0
    alive = await sql.fetchval("select count(*) from users where deleted_at is null")
    record_property("races", {"processes": processes, "trials": trials, "resurrected": alive})


async def deadlocks_since(sql: Sql, before: int) -> int:
    await asyncio.sleep(STATISTICS_LAG)
    await sql.execute("select pg_stat_clear_snapshot()")
    now: int = await sql.fetchval(DEADLOCKS)
    return now - before
