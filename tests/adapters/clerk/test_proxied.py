"""Requests by a proxy that works, and by proxies that fail while they connect."""

import asyncio
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.http import Answer, HttpClient, bounded_request
from adapters.clerk.network import read_authorities
from tests.adapters.clerk.certificates import self_signed_context
from tests.adapters.clerk.proxies import (
    Says,
    client_by,
    consents_and_hangs_up,
    consents_and_is_silent,
    hangs_up,
    is_silent,
    is_well,
    running_proxy,
    speaks_http,
)
from tests.e2e.processes import eventually

CLERK = "https://api.clerk.com/v1"
PLAIN = "http://api.clerk.com/v1"


async def ask(client: HttpClient, url: str = CLERK) -> Answer:
    return await bounded_request(client, url, seconds=10.0, max_bytes=100)


async def test_connections_are_used_again_and_are_not_too_many() -> None:
    async with running_proxy(is_well) as proxy, client_by(f"http://{proxy.at}") as client:
        for _ in range(2):
            answers = await asyncio.gather(*(ask(client, PLAIN) for _ in range(40)))
            assert [answer.body for answer in answers] == [b"{}"] * 40
        assert proxy.met == 32
    await eventually(lambda: proxy.kept == 0)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("http", hangs_up),
        ("http", consents_and_hangs_up),
        ("socks5", hangs_up),
        ("socks5", speaks_http),
    ],
)
async def test_a_proxy_that_fails_is_asked_again_however_often(scheme: str, says: Says) -> None:
    async with running_proxy(says) as proxy, client_by(f"{scheme}://{proxy.at}") as client:
        for _ in range(40):
            with pytest.raises(httpx.TransportError):
                await ask(client)
        assert proxy.met == 40


@pytest.mark.parametrize(
    ("scheme", "says"),
    [("http", is_silent), ("http", consents_and_is_silent), ("socks5", is_silent)],
)
async def test_so_is_one_that_is_silent_and_no_connection_to_it_stays_open(
    scheme: str, says: Says
) -> None:
    async with running_proxy(says) as proxy, client_by(f"{scheme}://{proxy.at}") as client:
        for _ in range(40):
            asking = asyncio.create_task(ask(client))
            async with asyncio.timeout(5):
                await proxy.silences.get()
            asking.cancel()
            await asyncio.wait([asking])
        await eventually(lambda: proxy.kept == 0)


async def test_the_certificate_of_a_proxy_is_checked_as_clerks_own(
    private_key: RSAPrivateKey, tmp_path: Path
) -> None:
    tls = self_signed_context(private_key, tmp_path)
    ours = read_authorities(str(tmp_path / "self-signed.pem"), None)
    async with running_proxy(is_well, tls) as proxy:
        async with client_by(f"https://{proxy.at}", ours) as client:
            assert (await ask(client, PLAIN)).body == b"{}"
        async with client_by(f"https://{proxy.at}") as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await ask(client, PLAIN)
