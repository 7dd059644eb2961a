"""Real processes, a real Postgres, an emulated Clerk. Services that tests leave alive are shared."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.e2e.processes import ServiceProcess, environment_for, running_processes
from tests.postgres_server import temporary_database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Signing keys come last: by then the services have run for as long as their tests need."""
    items.sort(key=lambda item: "test_signing_keys" in item.nodeid)


@pytest.fixture(scope="session")
async def one_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, time_scale=0.001)
    async with running_emulator(config, signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
def clerk(one_clerk: ClerkEmulator) -> ClerkEmulator:
    """Clerk in good health, its calls counted from zero, its webhooks not sent anywhere."""
    one_clerk.faults.clear()
    one_clerk.calls.clear()
    one_clerk.sender.plans.clear()
    one_clerk.sender.endpoints.clear()
    one_clerk.sender.forget()
    return one_clerk


@pytest.fixture(scope="session")
async def store(postgres_url: str) -> AsyncIterator[str]:
    """A database of this folder's own. The services bring its schema to head."""
    async with temporary_database(postgres_url, f"e2e_{os.getpid()}") as url:
        yield url


@pytest.fixture
async def sql(store: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    connection = await asyncpg.connect(store)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def services(
    one_clerk: ClerkEmulator, store: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[ServiceProcess]]:
    """Two replicas on one store."""
    # A first request may wait for a busy machine: what is tested with these is never the deadline.
    environment = environment_for(one_clerk, store, JIT_DEADLINE="10")
    async with running_processes(
        environment, environment, directory=tmp_path_factory.mktemp("replicas")
    ) as replicas:
        yield replicas


@dataclass(frozen=True)
class Rotation:
    """A Clerk whose keys may change, and the service that is to notice once it has started."""

    clerk: ClerkEmulator
    service: ServiceProcess
    starting: asyncio.Task[None]


@pytest.fixture(scope="session")
async def rotation(store: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rotation]:
    """Started in the background."""
    async with running_emulator(EmulatorConfig(rate_limit=None)) as clerk:
        environment = environment_for(clerk, store)
        service = ServiceProcess(environment, tmp_path_factory.mktemp("rotation"))
        starting = asyncio.create_task(service.start())
        yield Rotation(clerk, service, starting)
        starting.cancel()
        await service.close()


@pytest.fixture
def service(services: list[ServiceProcess], clerk: ClerkEmulator) -> ServiceProcess:
    return services[0]
