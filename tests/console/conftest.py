"""A service with its console on, an emulated Clerk, a real Postgres, and visitors."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.adapters.clerk.payloads import INSTANCE
from tests.console.visitors import OPERATOR, READER, TOKENS, Visitor, visitor_of
from tests.running import Service, running_service
from tests.service.tables import Sql

TABLES = ("users", "sync_journal", "sync_checkpoints", "operator_actions")


@pytest.fixture(scope="session")
async def shared_sql(migrated_url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(migrated_url)
    yield connection
    await connection.close()


@pytest.fixture
async def store_url(migrated_url: str, shared_sql: Sql) -> str:
    """The migrated database, empty."""
    await shared_sql.execute("; ".join(f"delete from {table}" for table in TABLES))
    return migrated_url


@pytest.fixture
def sql(store_url: str, shared_sql: Sql) -> Sql:
    return shared_sql


@pytest.fixture(scope="session")
async def shared_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    async with running_emulator(config, signing_key=signing_key) as emulator:
        yield emulator


@pytest.fixture(scope="session")
async def shared_service(shared_clerk: ClerkEmulator, migrated_url: str) -> AsyncIterator[Service]:
    settings = {**TOKENS, "clerk_rate_limit": 10_000}
    async with running_service(shared_clerk, migrated_url, **settings) as service:
        yield service


@pytest.fixture
def clerk(shared_clerk: ClerkEmulator) -> ClerkEmulator:
    shared_clerk.faults.clear()
    return shared_clerk


@pytest.fixture
def service(shared_service: Service, clerk: ClerkEmulator, store_url: str) -> Service:
    """One service for all tests that leave no mark on it but rows."""
    return shared_service


@pytest.fixture
async def own_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """An instance whose users are the test's own."""
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
