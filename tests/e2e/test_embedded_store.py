"""The service with an embedded Postgres, which starts and stops with it."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess, eventually

STARTUP_REFUSED = 69


@pytest.fixture
def environment(clerk: ClerkEmulator, tmp_path: Path) -> dict[str, str]:
    return {**clerk.config.environment(), "DATA_DIR": str(tmp_path / "data")}


@pytest.mark.slow
async def test_an_embedded_store_ends_with_its_service_and_keeps_its_data(
    clerk: ClerkEmulator, environment: dict[str, str], tmp_path: Path
) -> None:
    first, second = sign_up(clerk), sign_up(clerk)
    data = tmp_path / "data"
    service = ServiceProcess(environment, tmp_path)
    try:
        await service.start()
        assert (await service.deliver(first)).status_code == 204
        service.send_signal(signal.SIGTERM)
        assert await service.ended() == 0
        assert not is_served(data)

        await service.start()
        assert (await service.me(clerk.session_token(first.user_id))).json()[
            "synced_by"
        ] == "webhook"
        assert (await service.deliver(second)).status_code == 204
        await service.kill()
        await eventually(lambda: ends(data), 20)
    finally:
        await service.close()
    assert await users_in(data) == {first.user_id, second.user_id}


@pytest.mark.slow
async def test_a_second_service_on_the_same_data_says_why_it_will_not_start(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "data"):
        second = ServiceProcess(environment, tmp_path)
        second.spawn()
        status = await second.ended()
        await second.close()
    assert status == STARTUP_REFUSED
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr
    assert second.log() == []


@pytest.mark.slow
async def test_a_killed_embedded_server_is_started_again(
    clerk: ClerkEmulator, environment: dict[str, str], tmp_path: Path
) -> None:
    service = ServiceProcess(environment, tmp_path)
    pid_file = tmp_path / "data/postgres/cluster/postmaster.pid"
    try:
        await service.start()
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        await eventually(lambda: "embedded_postgres_restarted" in events(service))
        await eventually(service.is_ready)
        assert (await service.deliver(sign_up(clerk))).status_code == 204
        assert events(service).count("embedded_postgres_restarted") == 1
    finally:
        await service.close()


def is_served(data: Path) -> bool:
    """A server removes this file as the last thing it does."""
    return (data / "postgres" / "cluster" / "postmaster.pid").exists()


async def ends(data: Path) -> bool:
    return not is_served(data)


async def users_in(data: Path) -> set[str]:
    """The rows that the next start finds."""
    server = EmbeddedPostgres(data)
    await asyncio.to_thread(server.start)
    try:
        sql = await asyncpg.connect(server.url())
        rows = await sql.fetch("select clerk_id from users")
        await sql.close()
    finally:
        await asyncio.to_thread(server.stop)
    return {row["clerk_id"] for row in rows}


def events(service: ServiceProcess) -> list[str]:
    return [line["event"] for line in service.log()]
