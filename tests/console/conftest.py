"""A service with its console, an emulated Clerk, a real Postgres, and visitors."""

from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.adapters.clerk.payloads import INSTANCE
from tests.console.visitors import OPERATOR, READER, TOKENS, Visitor, visitor_of
from tests.postgres_server import TemporaryStore
from tests.running import Service, running_service


@pytest.fixture(scope="session")
async def shared_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    async with running_emulator(config, signing_key=signing_key) as emulator:
        yield emulator


@pytest.fixture(scope="module")
async def shared_service(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Service]:
    settings = {**TOKENS, "clerk_rate_limit": 10_000}
    async with running_service(shared_clerk, lasting_store.url, **settings) as service:
        yield service


@pytest.fixture
def clerk(shared_clerk: ClerkEmulator) -> ClerkEmulator:
    shared_clerk.faults.clear()
    return shared_clerk


@pytest.fixture
def service(shared_service: Service, clerk: ClerkEmulator, store_url: str) -> Service:
    """One service for all tests of the file that change nothing about it but its tables."""
    return shared_service


@pytest.fixture
async def own_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """A Clerk instance of the test's own, without users."""
    config = EmulatorConfig(rate_limit=None)
    async with running_emulator(config, signing_key=signing_key) as emulator:
        yield emulator


@pytest.fixture
async def own_service(own_clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(own_clerk, store_url, clerk_rate_limit=10_000, **TOKENS) as service:
        yield service


@pytest.fixture
async def nobody(service: Service) -> AsyncIterator[Visitor]:
    async with visitor_of(service.app) as visitor:
        yield visitor


@pytest.fixture
async def reader(service: Service) -> AsyncIterator[Visitor]:
    async with visitor_of(service.app) as visitor:
        await visitor.sign_in(READER)
        yield visitor


@pytest.fixture
async def operator(service: Service) -> AsyncIterator[Visitor]:
    async with visitor_of(service.app) as visitor:
        await visitor.sign_in(OPERATOR)
        yield visitor


@pytest.fixture
async def own_operator(own_service: Service) -> AsyncIterator[Visitor]:
    async with visitor_of(own_service.app) as visitor:
        await visitor.sign_in(OPERATOR)
        yield visitor
