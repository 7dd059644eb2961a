"""Real processes, a real Postgres and an emulated Clerk.

The tests share two service processes, unless a test stops, kills or suspends its service.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.e2e.processes import ServiceProcess, environment_for, running_processes
from tests.postgres_server import TemporaryStore, temporary_store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`test_signing_keys` comes last: its service must have run for some time by then."""
    items.sort(key=lambda item: "test_signing_keys" in item.nodeid)


@pytest.fixture(scope="session")
async def one_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, time_scale=0.001)
    async with running_emulator(config, signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
def clerk(one_clerk: ClerkEmulator) -> ClerkEmulator:
    """Clerk without faults. Its count of calls starts at zero, and no endpoint gets webhooks."""
    one_clerk.faults.clear()
    one_clerk.calls.clear()
    one_clerk.sender.plans.clear()
    one_clerk.sender.endpoints.clear()
    one_clerk.sender.forget()
    return one_clerk


@pytest.fixture(scope="session")
async def lasting_store(postgres_url: str, template: str) -> AsyncIterator[TemporaryStore]:
    """The database of `services`, which last as long as the session, and of the tests with them."""
    async with temporary_store(postgres_url, template) as store:
        yield store


@pytest.fixture
def store(store_url: str) -> str:
    """The URL of the test's database: that of `services` if the test uses them."""
    return store_url


@pytest.fixture(scope="session")
async def services(
    one_clerk: ClerkEmulator,
    lasting_store: TemporaryStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[ServiceProcess]]:
    """Two replicas on one database."""
    # A busy machine may answer late. No test that uses these services is about the deadline.
    environment = environment_for(one_clerk, lasting_store.url, JIT_DEADLINE="10")
    async with running_processes(
        environment, environment, directory=tmp_path_factory.mktemp("replicas")
    ) as replicas:
        yield replicas


@dataclass(frozen=True)
class Rotation:
    """A Clerk whose keys a test may change, and a service that uses them once `starting` ends."""

    clerk: ClerkEmulator
    service: ServiceProcess
    starting: asyncio.Task[None]


@pytest.fixture(scope="session")
async def rotation(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rotation]:
    """On a database of its own. It starts in the background while other tests run."""
    async with (
        running_emulator(EmulatorConfig(rate_limit=None)) as clerk,
        temporary_store(postgres_url, template) as store,
    ):
        environment = environment_for(clerk, store.url)
        service = ServiceProcess(environment, tmp_path_factory.mktemp("rotation"))
        starting = asyncio.create_task(service.start())
        yield Rotation(clerk, service, starting)
        starting.cancel()
        await service.close()


@pytest.fixture
def service(services: list[ServiceProcess], clerk: ClerkEmulator) -> ServiceProcess:
    return services[0]
