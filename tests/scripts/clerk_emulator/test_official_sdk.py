"""Clerk's official Python SDK, unchanged, works with the emulator."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from clerk_backend_api import Clerk, models
from clerk_backend_api.security import authenticate_request, verify_token
from clerk_backend_api.security.types import AuthenticateRequestOptions, VerifyTokenOptions

from scripts.clerk_emulator import ClerkEmulator

# The SDK reads its own deprecated fields.
pytestmark = pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")


@pytest.fixture(scope="module")
async def sdk(served: ClerkEmulator) -> AsyncIterator[Clerk]:
    secret_key, url = served.config.secret_key, f"{served.url}/v1"
    async with Clerk(bearer_auth=secret_key, server_url=url) as sdk:
        yield sdk


async def create(sdk: Clerk, name: str) -> models.User:
    return await sdk.users.create_async(
        email_address=[f"{name}@example.com"],
        first_name=name.title(),
        external_id=f"external-{name}",
        username=name,
        password="correct horse battery staple",
        public_metadata={"plan": "pro"},
    )


async def session_token(sdk: Clerk, user_id: str) -> str:
    session = await sdk.sessions.create_async(request={"user_id": user_id})
    token = await sdk.sessions.create_token_async(session_id=session.id)
    assert token.jwt is not None
    return token.jwt


async def test_the_sdk_creates_and_gets_a_user(sdk: Clerk) -> None:
    created = await create(sdk, "ada")

    assert await sdk.users.get_async(user_id=created.id) == created


async def test_the_sdk_lists_users_by_several_ids(sdk: Clerk) -> None:
    ids = {(await create(sdk, name)).id for name in ("bea", "bob")}

    users = await sdk.users.list_async(request={"user_id": sorted(ids), "limit": 500})

    assert {user.id for user in users} == ids


async def test_the_sdk_counts_users(sdk: Clerk) -> None:
    await create(sdk, "carl")

    count = await sdk.users.count_async(request={"email_address": ["carl@example.com"]})

    assert count.total_count == 1


async def test_the_sdk_updates_a_user(sdk: Clerk) -> None:
    user = await create(sdk, "dora")

    updated = await sdk.users.update_async(user_id=user.id, last_name="Doe")

    assert (updated.first_name, updated.last_name) == ("Dora", "Doe")


async def test_the_sdk_merges_metadata(sdk: Clerk) -> None:
    user = await create(sdk, "emma")

    merged = await sdk.users.update_metadata_async(user_id=user.id, public_metadata={"seats": 3})

    assert merged.public_metadata == {"plan": "pro", "seats": 3}


async def test_the_sdk_bans_and_unbans_a_user(sdk: Clerk) -> None:
    user = await create(sdk, "fred")

    banned = await sdk.users.ban_async(user_id=user.id)
    unbanned = await sdk.users.unban_async(user_id=user.id)

    assert (banned.banned, unbanned.banned) == (True, False)


async def test_the_sdk_locks_and_unlocks_a_user(sdk: Clerk) -> None:
    user = await create(sdk, "gina")

    locked = await sdk.users.lock_async(user_id=user.id)
    unlocked = await sdk.users.unlock_async(user_id=user.id)

    assert (locked.locked, unlocked.locked) == (True, False)


async def test_the_sdk_deletes_a_user(sdk: Clerk) -> None:
    user = await create(sdk, "hans")

    deleted = await sdk.users.delete_async(user_id=user.id)

    assert (deleted.id, deleted.deleted) == (user.id, True)


async def test_the_sdk_reads_a_missing_user_as_clerks_error(sdk: Clerk) -> None:
    with pytest.raises(models.ClerkErrors) as raised:
        await sdk.users.get_async(user_id="user_nobody")

    assert raised.value.data.errors[0].code == "resource_not_found"


async def test_the_sdk_reads_a_taken_address_as_clerks_error(sdk: Clerk) -> None:
    await create(sdk, "iris")

    with pytest.raises(models.ClerkErrors) as raised:
        await create(sdk, "iris")

    assert raised.value.data.errors[0].code == "form_identifier_exists"


async def test_the_sdk_reads_a_wrong_key_as_clerks_error(served: ClerkEmulator) -> None:
    async with Clerk(bearer_auth="sk_test_wrong", server_url=f"{served.url}/v1") as sdk:
        with pytest.raises(models.ClerkErrors) as raised:
            await sdk.users.get_async(user_id="user_nobody")

    assert raised.value.data.errors[0].code == "clerk_key_invalid"


async def test_the_sdk_reads_the_signing_keys(sdk: Clerk, served: ClerkEmulator) -> None:
    jwks = await sdk.jwks.get_jwks_async()

    assert jwks.keys is not None
    assert jwks.keys[0].kid == served.config.instance_id


async def test_the_sdk_revokes_a_session(sdk: Clerk) -> None:
    user = await create(sdk, "jane")
    session = await sdk.sessions.create_async(request={"user_id": user.id})

    revoked = await sdk.sessions.revoke_async(session_id=session.id)

    assert revoked.status == models.Status.REVOKED


async def test_the_sdk_verifies_a_session_token_by_the_signing_keys(
    sdk: Clerk, served: ClerkEmulator
) -> None:
    user = await create(sdk, "karl")
    token = await session_token(sdk, user.id)
    options = VerifyTokenOptions(
        secret_key=served.config.secret_key,
        api_url=served.url,
        authorized_parties=[served.config.authorized_party],
    )

    claims = await asyncio.to_thread(verify_token, token, options)

    assert claims["sub"] == user.id


async def test_the_sdk_verifies_a_session_token_after_a_rotation(
    sdk: Clerk, served: ClerkEmulator
) -> None:
    user = await create(sdk, "kate")
    options = VerifyTokenOptions(secret_key=served.config.secret_key, api_url=served.url)
    before = await session_token(sdk, user.id)
    await asyncio.to_thread(verify_token, before, options)

    served.keys.rotate()
    after = await session_token(sdk, user.id)

    claims = await asyncio.to_thread(verify_token, after, options)
    assert claims["sub"] == user.id


async def test_the_sdk_authenticates_a_request_by_the_pem(
    sdk: Clerk, served: ClerkEmulator
) -> None:
    user = await create(sdk, "lena")
    token = await session_token(sdk, user.id)
    request = httpx.Request("GET", "http://app", headers={"Authorization": f"Bearer {token}"})
    options = AuthenticateRequestOptions(
        jwt_key=served.keys.public_pem(), authorized_parties=[served.config.authorized_party]
    )

    state = authenticate_request(request, options)

    assert state.payload is not None
    assert (state.is_signed_in, state.payload["sub"]) == (True, user.id)
