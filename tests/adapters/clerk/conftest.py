from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from adapters.clerk.api.client import clerk_client
from adapters.clerk.direct import DirectTransport
from adapters.clerk.http import HttpClient
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, json_reply
from tests.adapters.clerk.key_sets import jwks
from tests.adapters.clerk.tokens import NOW, jwk
from tests.adapters.clerk.verifiers import verifier_of


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().running() as server:
        yield server


@pytest.fixture(scope="session", params=["aiohttp", "httpx"])
async def client(server: HttpServer, request: pytest.FixtureRequest) -> AsyncIterator[HttpClient]:
    """With aiohttp, and as where it is not installed."""
    transport = None if request.param == "aiohttp" else httpx.AsyncHTTPTransport(trust_env=False)
    async with clerk_client("sk_test_secret", server.url, transport) as client:
        assert isinstance(client.transport, DirectTransport) == (transport is None)
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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadline() -> float:
    """Seconds: more than a busy machine needs for an answer. For no answer, see `waits_a_second`."""
    return 10.0


@pytest.fixture
async def keys(
    clerk: HttpServer,
    client: HttpClient,
    clock: Clock,
    deadline: float,
    private_key: RSAPrivateKey,
) -> AsyncIterator[JwksKeys]:
    """Loaded with the instance's key."""
    keys = jwks(clerk, client, clock, deadline)
    clerk.reply = json_reply({"keys": [jwk(private_key)]})
    await keys.load()
    yield keys
    await keys.close()


@pytest.fixture
async def unloaded(
    clerk: HttpServer, client: HttpClient, clock: Clock, deadline: float
) -> AsyncIterator[JwksKeys]:
    keys = jwks(clerk, client, clock, deadline)
    yield keys
    await keys.close()
