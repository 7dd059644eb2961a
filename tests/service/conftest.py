from collections.abc import AsyncIterator

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.adapters.clerk.payloads import INSTANCE
from tests.running import Service, running_service
from tests.service.tables import Sql


@pytest.fixture(scope="session")
async def shared_sql(migrated_url: str) -> AsyncIterator[Sql]:
    """One connection for hundreds of tests: to make one costs more than most of them."""
    connection = await asyncpg.connect(migrated_url)
    yield connection
    await connection.close()


@pytest.fixture
async def store_url(migrated_url: str, shared_sql: Sql) -> str:
    """The migrated database, empty."""
    await shared_sql.execute("delete from users; delete from sync_journal")
    return migrated_url


@pytest.fixture
def sql(store_url: str, shared_sql: Sql) -> Sql:
    """A plain connection, to look at the tables without our own code."""
    return shared_sql


@pytest.fixture(scope="session")
async def shared_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """The instance the recorded payloads are of."""
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    async with running_emulator(config, signing_key=signing_key) as emulator:
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
