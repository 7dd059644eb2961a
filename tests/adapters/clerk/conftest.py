from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from adapters.clerk.api.users import clerk_client
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from tests.adapters.clerk.http_server import HttpServer
from tests.adapters.clerk.tokens import NOW
from tests.adapters.clerk.verifiers import verifier_of


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().running() as server:
        yield server


@pytest.fixture(scope="session")
async def client(server: HttpServer) -> AsyncIterator[httpx.AsyncClient]:
    async with clerk_client("sk_test_secret", server.url) as client:
        yield client


@pytest.fixture
def clerk(server: HttpServer) -> HttpServer:
    """A server in place of Clerk, with the answers that the test sets."""
    server.forget()
    return server


@pytest.fixture(scope="session")
def private_key(signing_key: RSAPrivateKey) -> RSAPrivateKey:
    """The signing key of our Clerk instance."""
    return signing_key


@pytest.fixture(scope="session")
def other_private_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    """The wall clock stands still at `NOW`."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def verifier(private_key: RSAPrivateKey) -> ClerkSessionVerifier:
    return verifier_of(private_key)
