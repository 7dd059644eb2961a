"""Our own id of a user, written to Clerk."""

from collections.abc import AsyncIterator

import pytest

from adapters.clerk.api.client import clerk_client
from adapters.clerk.http import HttpClient
from domain.errors import IdentityProviderUnavailable
from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from tests.adapters.clerk.http_server import HttpServer
from tests.adapters.clerk.providers import DOWN, LIMITED, NOT_FOUND, USER_ID, Reports, provider

OURS = "0190a1b2-0000-7000-8000-000000000001"


@pytest.fixture
def emulator() -> ClerkEmulator:
    return ClerkEmulator(EmulatorConfig())


@pytest.fixture
async def at_emulator(emulator: ClerkEmulator) -> AsyncIterator[HttpClient]:
    config = emulator.config
    client = clerk_client(config.secret_key, "http://clerk.test", transport=emulator.transport)
    async with client:
        yield client


async def test_our_id_becomes_the_external_id_and_nothing_else_changes(
    emulator: ClerkEmulator, at_emulator: HttpClient
) -> None:
    before = emulator.create_user(email_address=["ada@example.com"], public_metadata={"a": 1})
    assert await provider(at_emulator).write_our_id(before["id"], OURS, None)
    after = emulator.get_user(before["id"])
    changed = {name for name in before if before[name] != after[name]}
    assert (after["external_id"], changed) == (OURS, {"external_id", "updated_at"})


async def test_our_id_becomes_one_key_of_the_public_metadata_and_the_others_stay(
    emulator: ClerkEmulator, at_emulator: HttpClient
) -> None:
    user = emulator.create_user(
        email_address=["ada@example.com"], public_metadata={"plan": {"seats": 3}, "id": "old"}
    )
    assert await provider(at_emulator).write_our_id(user["id"], OURS, "id")
    after = emulator.get_user(user["id"])
    assert after["public_metadata"] == {"plan": {"seats": 3}, "id": OURS}
    assert after["external_id"] is None


@pytest.mark.parametrize("key", [None, "id"])
async def test_a_user_who_is_gone_at_clerk_is_none_to_write_to(
    emulator: ClerkEmulator, at_emulator: HttpClient, key: str | None
) -> None:
    user = emulator.create_user(email_address=["ada@example.com"])
    emulator.delete_user(user["id"])
    assert not await provider(at_emulator).write_our_id(user["id"], OURS, key)


async def test_an_external_id_that_another_user_has_is_refused(
    emulator: ClerkEmulator, at_emulator: HttpClient
) -> None:
    emulator.create_user(email_address=["ada@example.com"], external_id=OURS)
    other = emulator.create_user(email_address=["grace@example.com"])
    with pytest.raises(IdentityProviderUnavailable, match="status 4"):
        await provider(at_emulator).write_our_id(other["id"], OURS, None)


async def test_an_external_id_that_clerk_has_already_stays(
    emulator: ClerkEmulator, at_emulator: HttpClient
) -> None:
    user = emulator.create_user(email_address=["ada@example.com"], external_id="theirs")
    assert await provider(at_emulator).write_our_id(user["id"], OURS, None)
    assert emulator.get_user(user["id"]) == user


async def test_a_write_is_tried_again_and_reported_like_a_read(
    clerk: HttpServer, client: HttpClient
) -> None:
    reports = Reports()
    clerk.reply = LIMITED
    with pytest.raises(IdentityProviderUnavailable):
        await provider(client, reports=reports).write_our_id(USER_ID, OURS, "id")
    clerk.reply = DOWN
    with pytest.raises(IdentityProviderUnavailable):
        await provider(client, reports=reports).write_our_id(USER_ID, OURS, "id")
    assert ("update", "429") in reports.attempts
    assert reports.attempts.count(("update", "503")) == 3
    clerk.reply = NOT_FOUND
    assert not await provider(client).write_our_id(USER_ID, OURS, "id")


@pytest.mark.parametrize("user_id", ["", "../admin", "user_1/ban", "user_a?b"])
async def test_an_invalid_user_id_never_reaches_the_path(
    clerk: HttpServer, client: HttpClient, user_id: str
) -> None:
    with pytest.raises(ValueError, match=r"."):
        await provider(client).write_our_id(UserId(user_id), OURS, None)
    assert clerk.asked == []
