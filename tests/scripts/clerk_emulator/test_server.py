"""The emulator on a real port."""

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import EmulatorConfig, running_emulator


async def test_a_running_emulator_knows_its_own_address(signing_key: RSAPrivateKey) -> None:
    async with running_emulator(signing_key=signing_key) as emulator, httpx.AsyncClient() as client:
        keys = await client.get(emulator.config.jwks_url)

    assert keys.json() == emulator.jwks()


def test_synchronous_code_runs_an_emulator_through_a_portal(signing_key: RSAPrivateKey) -> None:
    running = running_emulator(signing_key=signing_key)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as emulator:
        user = emulator.create_user(username="ada")
        key = {"Authorization": f"Bearer {emulator.config.secret_key}"}
        answer = httpx.get(f"{emulator.url}/v1/users/{user['id']}", headers=key)

    assert answer.json() == user


async def test_a_running_emulator_sends_its_webhooks(signing_key: RSAPrivateKey) -> None:
    async with running_emulator(signing_key=signing_key) as clerk:
        nowhere = EmulatorConfig(webhook_urls=(f"{clerk.url}/nowhere",), time_scale=0.000001)
        async with running_emulator(nowhere, signing_key=signing_key) as emulator:
            emulator.create_user(username="ada")
            await emulator.sender.settled()
            [message] = emulator.sender.messages.values()

    assert {attempt.status for attempt in message.deliveries[0].attempts} == {404}


async def test_an_address_that_is_taken_is_an_error(signing_key: RSAPrivateKey) -> None:
    async with running_emulator(signing_key=signing_key) as emulator:
        with pytest.raises(OSError):
            async with running_emulator(EmulatorConfig(port=emulator.config.port)):
                pass
