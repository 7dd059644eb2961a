"""Postgres crashes under load and comes back."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.e2e.truth import assert_redelivery_settles_all, states_of_sessions, unrecorded

SENDERS = 32
BACK_WITHIN = 5.0
LONGEST_ANSWER = 10.0
POOL_SIZE = 10


@pytest.fixture(scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A server that may crash, and whose data survives it."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("durable"))
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture(scope="module")
async def service(
    one_clerk: ClerkEmulator,
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ServiceProcess]:
    directory = tmp_path_factory.mktemp("service")
    async with running_process(environment_for(one_clerk, postgres.url()), directory) as service:
        yield service


def stop_at_once(postgres: EmbeddedPostgres) -> None:
    postgres.kill()


def kill_the_postmaster(postgres: EmbeddedPostgres) -> None:
    os.kill(postgres.postmaster_pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "crash", [stop_at_once, pytest.param(kill_the_postmaster, marks=pytest.mark.slow)]
)
async def test_a_crash_of_postgres_loses_nothing_and_the_service_recovers(
    crash: Callable[[EmbeddedPostgres], None],
    clerk: ClerkEmulator,
    postgres: EmbeddedPostgres,
    service: ServiceProcess,
    record_property: Callable[[str, object], None],
) -> None:
    async with Load(service, lives_of_users(clerk), SENDERS) as load:
        await load.acknowledged(150)
        await asyncio.to_thread(crash, postgres)
        await load.nothing_but_refused(2 * SENDERS)  # the last session has ended too
        down = time.monotonic()
        await load.nothing_but_refused(2 * SENDERS)
        assert await service.status("/healthz") == 200
        assert await service.status("/readyz") == 503
        restarting = time.monotonic()
        await asyncio.to_thread(postgres.restart)
        accepting = time.monotonic()
        await eventually(service.is_ready, BACK_WITHIN)
        await load.acknowledged(150)

    assert {one.status for one in load.attempts} == {204, 503}
    assert all(one.retry_after for one in load.attempts if one.status == 503)
    assert max(one.seconds for one in load.attempts) < LONGEST_ANSWER
    while_down = load.within(down, restarting)
    assert {one.status for one in while_down} == {503}
    last_refusal = max(one.ended for one in load.attempts if one.status == 503)
    assert last_refusal - accepting < BACK_WITHIN

    record_property("s until well after it accepts", round(last_refusal - accepting, 2))
    sql = await asyncpg.connect(postgres.url())
    try:
        assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
        refused = load.told(Fate.REFUSED) - load.told(Fate.ACKNOWLEDGED)
        record_property(
            "written and not acknowledged", len(refused - await unrecorded(sql, refused))
        )
        await assert_redelivery_settles_all(load, clerk, sql)
        sessions = await states_of_sessions(sql)
    finally:
        await sql.close()
    assert len(sessions) <= POOL_SIZE
    assert set(sessions) == {"idle"}


@pytest.mark.slow
async def test_a_backend_killed_under_load_loses_nothing_and_postgres_recovers_by_itself(
    clerk: ClerkEmulator,
    postgres: EmbeddedPostgres,
    service: ServiceProcess,
    record_property: Callable[[str, object], None],
) -> None:
    """Postgres then ends every session and goes through its log."""
    async with Load(service, lives_of_users(clerk)) as load:
        await load.acknowledged(150)
        killed = time.monotonic()
        await kill_a_backend(postgres)
        await load.acknowledged(300)
        await eventually(service.is_ready, BACK_WITHIN)

    assert {one.status for one in load.attempts} <= {204, 503}
    last_refusal = max((one.ended for one in load.attempts if one.status == 503), default=killed)
    record_property("s until the last refusal", round(last_refusal - killed, 2))
    record_property("deliveries refused", len(load.told(Fate.REFUSED)))
    sql = await asyncpg.connect(postgres.url())
    try:
        assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
        await assert_redelivery_settles_all(load, clerk, sql)
    finally:
        await sql.close()
    assert last_refusal - killed < LONGEST_ANSWER


async def kill_a_backend(postgres: EmbeddedPostgres) -> None:
    sql = await asyncpg.connect(postgres.url())
    victim = await sql.fetchval(
        "select pid from pg_stat_activity where application_name = 'clerk-user-sync' limit 1"
    )
    os.kill(victim, signal.SIGKILL)
    sql.terminate()
