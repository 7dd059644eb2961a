"""A proxy is used for other machines, and never for this machine."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from scripts.clerk_emulator import ClerkEmulator
from service.bootstrap import operations
from service.bootstrap.settings import read_settings
from service.mistakes import mistakes
from tests.running import running_service, settings_for

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass
class Recording:
    """A proxy that records the first line of each request, and closes the connection."""

    url: str = ""
    heard: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def recording_proxy() -> AsyncIterator[Recording]:
    proxy = Recording()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.heard.append(await reader.read(200))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recording]:
    """A proxy that is set for all schemes."""
    async with recording_proxy() as proxy:
        for name in VARIABLES:
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield proxy


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_no_call_to_this_machine_meets_the_proxy(
    clerk: ClerkEmulator, store_url: str, proxy: Recording, name: str
) -> None:
    at: dict[str, Any] = {
        "clerk_api_url": clerk.config.url.replace("127.0.0.1", name),
        "clerk_jwks_url": clerk.config.jwks_url.replace("127.0.0.1", name),
    }
    ada = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    async with running_service(clerk, store_url, **at) as service:
        assert (await service.me(clerk.session_token(ada["id"]))).status_code == 200
        async with operations(settings_for(clerk, store_url, **at)) as available:
            assert await available.clerk.bulk.count() > 0
    assert proxy.heard == []


async def test_a_webhook_posted_to_this_machine_does_not_meet_the_proxy(
    clerk: ClerkEmulator, store_url: str, proxy: Recording
) -> None:
    async with (
        recording_proxy() as endpoint,
        operations(settings_for(clerk, store_url)) as available,
    ):
        with pytest.raises(Exception, match="Error"):
            await available.webhook_endpoint(f"{endpoint.url}/webhooks").post("msg_1", b"{}")
    assert endpoint.heard[0].startswith(b"POST /webhooks HTTP/1.1")
    assert proxy.heard == []


async def test_what_leaves_this_machine_goes_through_the_proxy(
    clerk: ClerkEmulator, store_url: str, proxy: Recording
) -> None:
    away = {"clerk_api_url": "https://api.clerk.invalid", "clerk_instance_id": None}
    away["clerk_jwks_url"] = "https://keys.clerk.invalid/jwks"
    async with operations(settings_for(clerk, store_url, **away)) as available:
        assert await available.signing_key_ids() is None
    assert proxy.heard[0].startswith(b"CONNECT keys.clerk.invalid:443 HTTP/1.1")


async def test_what_no_proxy_names_does_not(
    clerk: ClerkEmulator, store_url: str, proxy: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost,fd07:b51a:cc66:f0::/64,clerk.invalid")
    away = {"clerk_jwks_url": "https://keys.clerk.invalid/jwks"}
    async with operations(settings_for(clerk, store_url, **away)) as available:
        assert await available.signing_key_ids() is None
    assert proxy.heard == []


@pytest.mark.parametrize(
    ("proxies", "is_refused"),
    [
        ({"all_proxy": "socks5://proxy.example:1080"}, True),
        ({"https_proxy": "socks://proxy.example:1080"}, True),
        ({"all_proxy": "socks5h://proxy.example", "https_proxy": "http://proxy.example"}, False),
        ({"all_proxy": "socks5h://proxy.example", "no_proxy": "example.com"}, False),
        ({"http_proxy": "socks5://proxy.example:1080"}, False),
    ],
)
def test_a_socks_proxy_on_the_way_to_an_endpoint_is_refused_at_the_start(
    proxies: dict[str, str], *, is_refused: bool
) -> None:
    secret = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
    crm = {"name": "crm", "url": "https://crm.example.com/", "secrets": [secret]}
    given = {
        "clerk_secret_key": "sk_test_reference_only",
        "clerk_issuer": "https://clerk.example.com",
        "clerk_webhook_signing_secret": secret,
        "changes_push": json.dumps([crm]),
    }
    if not is_refused:
        read_settings(_env_file=None, **given, **proxies)
        return
    with pytest.raises(ValidationError) as raised:
        read_settings(_env_file=None, **given, **proxies)
    [told] = mistakes(raised.value)
    assert told.startswith("CHANGES_PUSH: crm: nothing is pushed through a SOCKS proxy")


@pytest.mark.slow
async def test_the_demo_does_not_meet_the_proxy(proxy: Recording) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.run", "--once"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    told, _ = await demo.communicate()
    assert demo.returncode == 0, told.decode()
    assert proxy.heard == []
