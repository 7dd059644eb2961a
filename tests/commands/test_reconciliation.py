"""The service repairs the table by itself, one replica at a time."""

import asyncio
import json
from io import StringIO
from typing import Any

import asyncpg

from adapters.postgres.exclusive import PostgresExclusive
from domain.reconcile import LAST_FULL
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.exclusive_run import LOCK
from service.services import Operations
from tests.commands.scenes import drift, ids_of, run_backfill
from tests.e2e.processes import eventually
from tests.running import running_service


async def test_the_service_repairs_the_table_and_says_what_it_found(
    clerk: ClerkEmulator,
    available: Operations,
    store_url: str,
    sql: "asyncpg.Connection[Any]",
) -> None:
    clerk.create_users(5)
    await run_backfill(available)
    deleted, *missing = ids_of(clerk)[:3]
    clerk.delete_user(deleted)
    await sql.execute("delete from users where clerk_id = any ($1)", missing)
    # The next run, a second later, would find nothing, and say so: it never hears of anybody.
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUserList", times=1))
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUserList"))
    async with running_service(clerk, store_url, reconcile_every=1) as service:

        async def found() -> bool:
            kinds = ("deleted", "missing")
            return [await service.metric("drift_rows", kind=kind) for kind in kinds] == [1, 2]

        await eventually(found)
        assert await service.metric("reconcile_last_success_timestamp_seconds") > 0
    assert await drift(clerk, sql) == {}


async def test_two_replicas_do_it_once(
    clerk: ClerkEmulator, store_url: str, sql: "asyncpg.Connection[Any]"
) -> None:
    clerk.create_users(3)

    async def saved() -> bool:
        return bool(await sql.fetchval("select count(*) from sync_checkpoints"))

    async with (
        running_service(clerk, store_url, reconcile_every=3),
        running_service(clerk, store_url, reconcile_every=3),
    ):
        await eventually(saved)
        await asyncio.sleep(1)  # by now the other one has looked as well
    assert clerk.calls.count("GetUserList") == 1


async def test_while_an_operator_runs_a_command_the_service_does_not(
    clerk: ClerkEmulator, store_url: str, available: Operations
) -> None:
    clerk.create_users(3)
    async with (
        PostgresExclusive(store_url).hold(LOCK, "an operator"),
        running_service(clerk, store_url, reconcile_every=1),
    ):
        await asyncio.sleep(2.5)
    assert await available.checkpoints.load(LAST_FULL) is None


async def test_a_run_that_failed_is_tried_again(
    clerk: ClerkEmulator, store_url: str, sql: "asyncpg.Connection[Any]"
) -> None:
    clerk.create_users(3)
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT, times=1))

    async def repaired() -> bool:
        return await drift(clerk, sql) == {}

    async with running_service(clerk, store_url, reconcile_every=1):
        await eventually(repaired)


async def test_whom_it_cannot_read_is_told_by_the_log(
    clerk: ClerkEmulator, store_url: str, available: Operations
) -> None:
    clerk.create_users(2)
    unreadable = ids_of(clerk)[0]
    clerk.edit_user(unreadable, first_name="\x00")
    log = StringIO()

    async def ended() -> bool:
        return await available.checkpoints.load(LAST_FULL) is not None

    async with running_service(clerk, store_url, reconcile_every=1, log=log):
        await eventually(ended)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "user_unreadable"]
    assert {line["user_id"] for line in told} == {unreadable}
