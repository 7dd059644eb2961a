"""The service repairs the table regularly, one replica at a time."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from io import StringIO

from domain import health
from domain.drift import load_sweep
from domain.ports import Exclusive
from domain.reconcile import LAST_FULL
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.comparisons import LOOK_EVERY, reconcile_regularly
from service.jobs import OPERATOR_LOCK
from service.log import line_logger
from service.services import Operations
from tests.commands.scenes import drift, ids_of, run_backfill
from tests.e2e.processes import eventually
from tests.fakes.exclusive import InMemoryExclusive
from tests.postgres_server import Sql
from tests.running import running_service
from tests.simulation.scene import Scene, scene
from tests.simulation.virtual_time import in_virtual_time


async def test_the_service_repairs_the_table_and_says_what_it_found(
    clerk: ClerkEmulator,
    available: Operations,
    store_url: str,
    sql: Sql,
) -> None:
    clerk.create_users(5)
    await run_backfill(available)
    deleted, *missing = ids_of(clerk)[:3]
    clerk.delete_user(deleted)
    await sql.execute("delete from users where clerk_id = any ($1)", missing)
    # A second run would find no drift and set the metric to 0, so Clerk never answers it.
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUserList", times=1))
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUserList"))
    async with running_service(clerk, store_url, reconcile_every=1) as service:

        async def found() -> bool:
            kinds = ("deleted", "missing")
            return [await service.metric("drift_users", kind=kind) for kind in kinds] == [1, 2]

        await eventually(found)
        assert await service.metric("reconcile_last_success_timestamp_seconds") > 0
    assert await drift(clerk, sql) == {}


EVERY = timedelta(hours=1)
A_DAY = timedelta(days=1)


class Replica:
    """The reconciliation of one service in a simulated world. `runs` counts those that have ended."""

    def __init__(self, here: Scene, exclusive: Exclusive) -> None:
        self._lines = StringIO()
        working = reconcile_regularly(
            here.operator.reconciliation(),
            exclusive,
            here.store,
            every=EVERY,
            log=line_logger("info", "json", self._lines),
        )
        self.task = asyncio.create_task(working)

    @property
    def runs(self) -> int:
        return self._lines.getvalue().count('"reconciled"')


@in_virtual_time
async def test_two_replicas_do_it_once() -> None:
    async with scene() as here:
        exclusive = InMemoryExclusive()
        replicas = [Replica(here, exclusive) for _ in range(2)]
        await asyncio.sleep(A_DAY.total_seconds())
        # Each looks once a minute, so a run begins up to a minute late.
        assert A_DAY / EVERY - 1 <= sum(one.runs for one in replicas) <= A_DAY / EVERY
        for one in replicas:
            one.task.cancel()


@in_virtual_time
async def test_while_an_operator_runs_a_command_the_service_does_not() -> None:
    async with scene() as here:
        exclusive = InMemoryExclusive()
        replica = Replica(here, exclusive)
        async with exclusive.hold(OPERATOR_LOCK, "an operator"):
            await asyncio.sleep(A_DAY.total_seconds())
            assert replica.runs == 0
        await asyncio.sleep(2 * LOOK_EVERY)
        assert replica.runs == 1
        replica.task.cancel()


async def test_a_run_that_failed_is_tried_again(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    clerk.create_users(3)
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT, times=1))

    async def repaired() -> bool:
        return await drift(clerk, sql) == {}

    async with running_service(clerk, store_url, reconcile_every=1):
        await eventually(repaired)


async def test_a_user_that_cannot_be_read_is_named_in_the_log_and_not_in_agreement(
    clerk: ClerkEmulator, store_url: str, available: Operations
) -> None:
    clerk.create_users(2)
    unreadable = ids_of(clerk)[0]
    clerk.edit_user(unreadable, first_name="\x00")
    log = StringIO()

    async with running_service(clerk, store_url, reconcile_every=1, log=log) as service:
        await eventually(lambda: '"reconciled"' in log.getvalue())
        assert await service.metric("drift_users", kind="unreadable") == 1
        assert await service.metric("drift_left_users") == 1
    assert await available.store.checkpoints.load(LAST_FULL) is not None
    told_by_doctor = health.drift(await load_sweep(available.store.checkpoints))
    assert told_by_doctor.words == "1 user could not be read in the last comparison"
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "user_unreadable"]
    assert {line["user_id"] for line in told} == {unreadable}


async def test_readiness_tells_that_comparisons_do_not_come(
    clerk: ClerkEmulator, store_url: str, available: Operations, sql: Sql
) -> None:
    await available.store.checkpoints.save(LAST_FULL, datetime.now(UTC).isoformat())
    async with running_service(clerk, store_url, reconcile_every=3600) as service:
        assert "reconcile" not in await service.degraded()
        await sql.execute("update sync_checkpoints set saved_at = now() - interval '1 day'")
        assert "reconcile" in await service.degraded()
