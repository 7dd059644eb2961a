"""`METRICS_PORT`: metrics and readiness on a port that is not public."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.messages import sign_up
from tests.e2e.processes import (
    ServiceProcess,
    environment_for,
    eventually,
    reserved_port,
    running_process,
)


@dataclass(frozen=True)
class Apart:
    """A service, and its other port."""

    service: ServiceProcess
    at: str

    async def statuses(self, at: str) -> list[int | None]:
        paths = ("/healthz", "/readyz", "/metrics", "/v1/session", "/webhooks/clerk")
        return [await self.service.status(f"{at}{path}") for path in paths]

    async def is_unready(self) -> bool:
        return await self.service.status(f"{self.at}/readyz") == 503


@pytest.fixture
async def apart(one_clerk: ClerkEmulator, store: str, tmp_path: Path) -> AsyncIterator[Apart]:
    with reserved_port() as port:
        settings = {"METRICS_PORT": str(port.number), "DRAIN_SECONDS": "2"}
        environment = environment_for(one_clerk, store, **settings)
        async with running_process(environment, tmp_path) as service:
            yield Apart(service, f"http://127.0.0.1:{port.number}")


async def test_each_port_answers_for_itself_alone(apart: Apart, clerk: ClerkEmulator) -> None:
    assert (await apart.service.deliver(sign_up(clerk))).status_code == 204
    assert await apart.statuses("") == [200, 404, 404, 401, 405]
    assert await apart.statuses(apart.at) == [200, 200, 200, 404, 404]
    async with httpx.AsyncClient(base_url=apart.at) as http:
        exposed = (await http.get("/metrics")).text
    assert 'webhook_deliveries_total{outcome="created",type="user.created"} 1.0' in exposed
    assert "/readyz" not in exposed  # probes are not counted


async def test_readiness_is_told_until_the_end(apart: Apart) -> None:
    apart.service.send_signal(signal.SIGTERM)
    await eventually(apart.is_unready)
    assert await apart.service.status("/healthz") == 200
    assert await apart.service.ended() == 0


async def test_a_port_that_is_taken_ends_the_start(
    one_clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    with reserved_port() as taken:
        listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", taken.number)
        environment = environment_for(one_clerk, store, METRICS_PORT=str(taken.number))
        service = ServiceProcess(environment, tmp_path)
        try:
            service.spawn()
            assert await service.ended() == 71
            assert "METRICS_PORT" in service.stderr
            assert "Traceback" not in service.stderr
        finally:
            await service.close()
            listener.close()
