from collections.abc import AsyncIterator

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from adapters.clerk.api.users import clerk_client
from tests.adapters.clerk.http_server import HttpServer


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
