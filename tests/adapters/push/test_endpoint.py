"""Messages reach their receiver only, with signatures that it can verify."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import standardwebhooks
import svix
import time_machine

from adapters.push.address import check_endpoint
from adapters.push.endpoint import PushEndpoint, push_client
from domain.errors import NotTaken, ReceiverGone
from tests.adapters.push.receiver import BODY, NEW, OLD, OTHER, Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with push_client(ssl.create_default_context(), allow_private=True) as client:
        yield client


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.Webhook])
@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_a_receiver_verifies_with_either_library_and_either_secret(
    receiver: Receiver,
    client: aiohttp.ClientSession,
    verifier: type[standardwebhooks.Webhook],
    secret: str,
) -> None:
    await PushEndpoint(client, receiver.url, [NEW, OLD]).post("crm:7", BODY)
    [(headers, body)] = receiver.got
    assert body == BODY
    verifier(secret).verify(body, headers)
    assert (headers["webhook-id"], headers["content-type"]) == ("crm:7", "application/json")
    for key, bytes_signed in ((OTHER, body), (secret, body + b" ")):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verifier(key).verify(bytes_signed, headers)


async def test_each_attempt_is_signed_for_its_own_time(
    receiver: Receiver, client: aiohttp.ClientSession
) -> None:
    endpoint = PushEndpoint(client, receiver.url, [NEW])
    for hours in (0, 10):
        with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)):
            await endpoint.post("crm:7", BODY)
            standardwebhooks.Webhook(NEW).verify(BODY, receiver.got[-1][0])
    first, second = (headers for headers, _ in receiver.got)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_anything_but_2xx_is_not_taken(
    receiver: Receiver, client: aiohttp.ClientSession, status: int
) -> None:
    async with receiving() as elsewhere:
        receiver.status, receiver.headers = status, {"Location": elsewhere.url}
        with pytest.raises(NotTaken, match=f"answered {status}") as raised:
            await PushEndpoint(client, receiver.url, [NEW]).post("crm:7", BODY)
        assert (len(receiver.got), elsewhere.got) == (1, [])
    assert isinstance(raised.value, ReceiverGone) == (status == 410)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_taken(
    receiver: Receiver, client: aiohttp.ClientSession, status: int
) -> None:
    receiver.status = status
    await PushEndpoint(client, receiver.url, [NEW]).post("crm:7", BODY)


async def test_a_large_answer_is_not_read_to_its_end(
    receiver: Receiver, client: aiohttp.ClientSession
) -> None:
    receiver.status, receiver.body = 200, b"x" * 20_000_000
    endpoint = PushEndpoint(client, receiver.url, [NEW])
    for _ in range(3):
        await endpoint.post("crm:7", BODY)
    assert len(receiver.got) == 3


async def test_a_receiver_that_is_not_there_is_an_error_without_the_message(
    client: aiohttp.ClientSession,
) -> None:
    async with receiving() as gone:
        url = gone.url
    with pytest.raises(NotTaken) as raised:
        await PushEndpoint(client, url, [NEW]).post("crm:7", BODY)
    assert str(raised.value) == "ClientConnectorError"


async def test_a_connection_is_used_again(
    receiver: Receiver, client: aiohttp.ClientSession
) -> None:
    endpoint = PushEndpoint(client, receiver.url, [NEW])
    await asyncio.gather(*(endpoint.post(f"crm:{n}", BODY) for n in range(50)))
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 50
    assert len({headers["host"] for headers, _ in receiver.got}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "//example.com/hooks",
        "https://",
        "https://user:secret@example.com/",
        "https://example.com:port/",
        "https://[::1/",
        "https://example.com/#part",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_endpoint_is_refused_without_its_value(url: str, allow_private: bool) -> None:
    with pytest.raises(ValueError, match="an endpoint") as raised:
        check_endpoint(url, allow_private=allow_private)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://example.com/", "https://10.0.0.1/", "https://[::1]:8443/"])
def test_a_private_endpoint_is_refused_unless_it_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="unless private addresses are allowed"):
        check_endpoint(url, allow_private=False)
    check_endpoint(url, allow_private=True)
