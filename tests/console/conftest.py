"""A service with its console, an emulated Clerk, a real Postgres, and visitors."""

from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.commands.arrivals import quarantined
from tests.console.browser import (
    SCREENS,
    Browsing,
    arrived,
    browsing,
    listening_console,
)
from tests.console.hostile import HOSTILE
from tests.console.signed_in import GRANTS
from tests.console.visitors import OPERATOR, READER, TOKENS, Visitor, visitor_of
from tests.postgres_server import Sql, TemporaryStore
from tests.running import Service, running_service


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


@pytest.fixture
async def for_sessions(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url, **GRANTS) as service:
        yield service


@pytest.fixture
async def address(own_clerk: ClerkEmulator, store_url: str) -> AsyncIterator[str]:
    async with listening_console(own_clerk, store_url) as address:
        yield address


@pytest.fixture
async def browser(address: str) -> AsyncIterator[Browsing]:
    """Signed in as an operator; whatever it does, nothing was wrong in it."""
    async with browsing(address, **SCREENS["wide"]) as browser:
        await browser.sign_in()
        yield browser
        assert browser.complaints == []
        assert browser.elsewhere == []


@pytest.fixture
async def lively(
    own_clerk: ClerkEmulator, address: str, database: Database, sql: Sql
) -> dict[str, str]:
    """Something on every page. The paths to look at, by name."""
    people = [
        own_clerk.create_user(email_address=[f"{n}@example.com"], first_name=name, last_name=name)[
            "id"
        ]
        for n, name in enumerate(["Ada", "Grace", *HOSTILE.values()])
    ]
    for person in people:
        await arrived(sql, person)
    own_clerk.delete_user(people[1])
    await quarantined(database, b'{"type": "<script>alert(1)</script>"}', clerk_id=None)
    await sql.execute(
        "update users set email = 'x@example.com', observed_at = observed_at - interval '1 h'"
        " where clerk_id <> $1",
        people[1],
    )
    entry = await sql.fetchval("select id from sync_journal where svix_id = 'msg_q'")
    return {
        "overview": "",
        "a day": "?window=24h",
        "deliveries": "/deliveries",
        "filtered": "/deliveries?outcome=stale&since=nonsense",
        "delivery": f"/deliveries/{entry}",
        "body": f"/deliveries/{entry}/body",
        "replay": f"/deliveries/{entry}/replay",
        "users": "/users",
        "nobody found": "/users?q=nobody",
        "several found": "/users?q=x@example.com",
        "differing": f"/users/{people[0]}",
        "tombstone": f"/users/{people[1]}",
        **{f"hostile {n}": f"/users/{person}" for n, person in enumerate(people[2:])},
        "never seen": "/users/user_never",
        "sync now": f"/users/{people[0]}/sync",
        "quarantine": "/quarantine",
        "replay group": "/quarantine/replay?error=wrong_type",
        "drift": "/drift",
        "check": "/drift/check",
        "repair": "/drift/repair",
        "audit": "/audit",
        "sign in": "/sign-in",
    }
