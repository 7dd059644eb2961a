from collections.abc import AsyncIterator

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.postgres_server import TemporaryStore
from tests.running import Service, running_service, settings_for
from tests.service.listening import listening
from tests.service.served import Served


@pytest.fixture(scope="module")
async def shared_service(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Service]:
    async with running_service(shared_clerk, lasting_store.url, clerk_rate_limit=10_000) as service:
        yield service


@pytest.fixture
def clerk(shared_clerk: ClerkEmulator) -> ClerkEmulator:
    """Clerk without faults, its calls counted from zero."""
    shared_clerk.faults.clear()
    shared_clerk.calls.clear()
    return shared_clerk


@pytest.fixture
def service(shared_service: Service, clerk: ClerkEmulator) -> Service:
    """One service for all tests of the file that change nothing about it but its tables."""
    return shared_service


@pytest.fixture
async def own_service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """A new service on an empty store, for tests of outages, limits and counts."""
    async with running_service(clerk, store_url) as service:
        yield service


@pytest.fixture(scope="module")
async def running(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Served]:
    settings = settings_for(shared_clerk, lasting_store.url)
    async with listening(create_app(settings), settings) as at:
        yield Served(at, shared_clerk.config.webhook_secrets[0])


@pytest.fixture
def served(running: Served, clerk: ClerkEmulator, store_url: str) -> Served:
    """On an empty store."""
    return running
