"""`clerk-user-sync work` with METRICS_PORT tells of itself as the service does."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.effects import EFFECTS, FORGET
from tests.e2e.processes import ServiceProcess, environment_for, eventually, reserved_port
from tests.people import delivered, new_id, user
from tests.postgres_server import Sql

DELIVERED = 'clerk_user_sync_change_attempts_total{outcome="delivered",subscription="steady"} 1.0'

SLOW = """
import asyncio
from service.changes import Changes
changes = Changes()

@changes.on(name="slow", begin="oldest")
async def slow(change, user):
    print("begun", flush=True)
    await asyncio.sleep(4)
    print("done", flush=True)
"""
"""Handlers of an application in the directory where the worker runs."""


@pytest.fixture
async def sql_effects(sql: Sql) -> AsyncIterator[None]:
    await sql.execute(EFFECTS)
    yield
    await sql.execute(FORGET)


def environment_of_a_worker(clerk: ClerkEmulator, store: str, **settings: str) -> dict[str, str]:
    return {
        **environment_for(clerk, store),
        "CHANGE_HANDLERS": "tests.e2e.change_handlers:changes",
        "EFFECTS_URL": store,
        **settings,
    }


@pytest.fixture
async def worker(
    clerk: ClerkEmulator, store: str, sql_effects: None, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    with reserved_port() as port:
        environment = environment_of_a_worker(clerk, store, METRICS_PORT=str(port.number))
        worker = ServiceProcess(environment, tmp_path, command="work")
        try:
            await worker.start()
            yield worker
        finally:
            await worker.close()


async def exposed(worker: ServiceProcess) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://127.0.0.1:{worker.probed}/metrics")).text


async def test_a_worker_answers_on_its_metrics_port_alone(
    worker: ServiceProcess, database: Database
) -> None:
    await PostgresUserRepository(database).sync(delivered(user(new_id())))

    async def is_counted() -> bool:
        return DELIVERED in await exposed(worker)

    await eventually(is_counted)
    told = await exposed(worker)
    assert 'clerk_user_sync_subscription_held{subscription="steady"} 1.0' in told
    assert "clerk_user_sync_store_answers 1.0" in told
    assert "clerk_user_sync_log_lines_dropped_total 0.0" in told
    # Only a replica of the service has keys. So an alert sees that none of those is left.
    assert "signing_keys_age_seconds" not in told
    at = f"http://127.0.0.1:{worker.probed}"
    assert await worker.status(f"{at}/healthz") == 200
    assert await worker.status(f"{at}/v1/me") == 404
    assert await worker.status("/healthz") is None
    async with httpx.AsyncClient() as http:
        ready = (await http.get(f"{at}/readyz")).json()
    assert ready["checks"] == {"store": True, "schema": True, "not_draining": True}
    worker.send_signal(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_a_worker_is_unready_and_alive_while_it_finishes_what_is_in_hand(
    clerk: ClerkEmulator, store: str, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "application.py").write_text(SLOW)
    with reserved_port() as port:
        environment = environment_of_a_worker(
            clerk,
            store,
            CHANGE_HANDLERS="application:changes",
            METRICS_PORT=str(port.number),
        )
        worker = ServiceProcess(environment, tmp_path, command="work")
        at = f"http://127.0.0.1:{port.number}"
        try:
            await worker.start()
            await PostgresUserRepository(database).sync(delivered(user(new_id())))
            await eventually(lambda: "begun" in worker.stdout)
            worker.send_signal(signal.SIGTERM)

            async def is_unready() -> bool:
                return await worker.status(f"{at}/readyz") == 503

            await eventually(is_unready, 3)
            assert await worker.status(f"{at}/healthz") == 200
            assert "done" not in worker.stdout
            assert await worker.ended() == 0
            assert "done" in worker.stdout
        finally:
            await worker.close()


@pytest.fixture
def hangups_are_ignored() -> Iterator[None]:
    """As `nohup` starts a process."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_a_worker_under_nohup_outlives_its_terminal(
    hangups_are_ignored: None, worker: ServiceProcess
) -> None:
    worker.send_signal(signal.SIGHUP)
    await asyncio.sleep(1)
    assert await worker.is_ready()
    worker.send_signal(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_a_worker_whose_port_is_taken_says_so(
    worker: ServiceProcess, clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    environment = environment_of_a_worker(clerk, store, METRICS_PORT=worker.probed)
    second = ServiceProcess(environment, tmp_path, command="work")
    try:
        second.spawn()
        assert await second.ended() == 71
        assert "METRICS_PORT" in second.stderr
    finally:
        await second.close()
