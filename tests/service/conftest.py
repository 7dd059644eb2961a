from collections.abc import AsyncIterator

import pytest

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.adapters.clerk.payloads import INSTANCE
from tests.running import Service, running_service


@pytest.fixture(scope="session")
async def shared_clerk() -> AsyncIterator[ClerkEmulator]:
    """The instance the recorded payloads are of."""
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    async with running_emulator(config) as emulator:
        yield emulator


@pytest.fixture(scope="session")
async def shared_service(shared_clerk: ClerkEmulator, migrated_url: str) -> AsyncIterator[Service]:
    async with running_service(shared_clerk, migrated_url, clerk_rate_limit=10_000) as service:
        yield service


@pytest.fixture
def clerk(shared_clerk: ClerkEmulator) -> ClerkEmulator:
    """Clerk in good health, its calls counted from zero."""
    shared_clerk.faults.clear()
    shared_clerk.calls.clear()
    return shared_clerk


@pytest.fixture
def service(shared_service: Service, clerk: ClerkEmulator) -> Service:
    """One service for all tests that leave no mark on it but rows."""
    return shared_service


@pytest.fixture
async def own_service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """A service of one's own, on an empty store: for outages, limits and counts."""
    async with running_service(clerk, store_url) as service:
        yield service
