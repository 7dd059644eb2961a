"""What only an emulated Clerk lets us do."""

from secrets import token_hex

import httpx

from domain.errors import IdentityProviderUnavailable


async def sign_up_a_test_user(client: httpx.AsyncClient) -> str:
    """A user created by Clerk's own API, so that a signed webhook tells of it. The user's id.

    `client` is made by `clerk_client`. Raises `IdentityProviderUnavailable` unless the emulator's
    own surface answers there: a Clerk that is not emulated gets no test user.
    """
    try:
        emulator = await client.get(client.base_url.join("/emulator"))
        emulator.raise_for_status()
        answer = await client.post("/users", json=_somebody())
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise IdentityProviderUnavailable("no emulator answers there") from error
    user_id: str = answer.json()["id"]
    return user_id


def _somebody() -> dict[str, object]:
    return {
        "email_address": [f"test.{token_hex(4)}@example.com"],
        "first_name": "Test",
        "last_name": "Event",
    }
