"""Sessions, session tokens and the keys that sign them."""

import base64
from typing import Any

import httpx
import jwt
import pytest

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from tests.scripts.clerk_emulator.examples import example


def header_and_claims(emulator: ClerkEmulator, token: str) -> tuple[Any, Any]:
    decoded = jwt.decode_complete(token, emulator.keys.public_pem(), algorithms=["RS256"])
    return decoded["header"], decoded["payload"]


@pytest.fixture
def user_id(emulator: ClerkEmulator) -> str:
    user_id = emulator.create_user(username="ada")["id"]
    assert isinstance(user_id, str)
    return user_id


async def test_a_session_token_has_clerks_header_and_claims(
    emulator: ClerkEmulator, user_id: str
) -> None:
    theirs = example("session_v2")

    header, claims = header_and_claims(emulator, emulator.session_token(user_id))

    assert header == theirs["header"] | {"kid": emulator.config.instance_id}
    assert claims.keys() == theirs["payload"].keys()


async def test_a_session_token_is_valid_for_a_minute_from_ten_seconds_ago(
    emulator: ClerkEmulator, user_id: str
) -> None:
    _, claims = header_and_claims(emulator, emulator.session_token(user_id))

    assert claims["exp"] - claims["iat"] == 60
    assert claims["iat"] - claims["nbf"] == 10


async def test_a_session_token_names_user_session_issuer_and_party(
    emulator: ClerkEmulator, user_id: str
) -> None:
    _, claims = header_and_claims(emulator, emulator.session_token(user_id))

    assert claims["sub"] == user_id
    assert emulator.sessions.get(claims["sid"]).user_id == user_id
    assert claims["iss"] == emulator.config.token_issuer
    assert claims["azp"] == "http://localhost:3000"


async def test_claims_and_headers_of_a_token_can_be_replaced_and_left_out(
    emulator: ClerkEmulator, user_id: str
) -> None:
    token = emulator.session_token(user_id, headers={"kid": "ins_x"}, azp=None, sts="pending")

    header, claims = header_and_claims(emulator, token)

    assert (header["kid"], claims["sts"], "azp" in claims) == ("ins_x", "pending", False)


async def test_a_user_keeps_one_session_for_all_tokens(
    emulator: ClerkEmulator, user_id: str
) -> None:
    tokens = [emulator.session_token(user_id) for _ in range(2)]

    sessions = {header_and_claims(emulator, token)[1]["sid"] for token in tokens}

    assert len(sessions) == 1


async def test_a_session_made_over_http_gives_tokens(
    api: httpx.AsyncClient, emulator: ClerkEmulator, user_id: str
) -> None:
    session = (await api.post("/v1/sessions", json={"user_id": user_id})).json()

    token = (await api.post(f"/v1/sessions/{session['id']}/tokens")).json()

    _, claims = header_and_claims(emulator, token["jwt"])
    assert (token["object"], claims["sid"]) == ("token", session["id"])


async def test_a_session_has_clerks_shape(api: httpx.AsyncClient, user_id: str) -> None:
    theirs = example("session.created")["data"]

    session = (await api.post("/v1/sessions", json={"user_id": user_id})).json()

    assert session.keys() == theirs.keys() - {"user"}


async def test_a_session_can_be_read_back(api: httpx.AsyncClient, user_id: str) -> None:
    session = (await api.post("/v1/sessions", json={"user_id": user_id})).json()

    assert (await api.get(f"/v1/sessions/{session['id']}")).json() == session


async def test_the_lifetime_of_a_token_can_be_asked_for(
    api: httpx.AsyncClient, emulator: ClerkEmulator, user_id: str
) -> None:
    session = (await api.post("/v1/sessions", json={"user_id": user_id})).json()

    token = await api.post(
        f"/v1/sessions/{session['id']}/tokens", json={"expires_in_seconds": 3600}
    )

    _, claims = header_and_claims(emulator, token.json()["jwt"])
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_template_token_is_of_another_category_and_has_no_session(
    emulator: ClerkEmulator, user_id: str
) -> None:
    theirs = example("jwt_template")
    session = emulator.create_session(user_id)

    header, claims = header_and_claims(emulator, emulator.template_token(session["id"]))

    assert header["cat"] == theirs["header"]["cat"]
    assert claims.keys() == theirs["payload"].keys()


async def test_a_revoked_session_gives_no_tokens(api: httpx.AsyncClient, user_id: str) -> None:
    session = (await api.post("/v1/sessions", json={"user_id": user_id})).json()

    revoked = (await api.post(f"/v1/sessions/{session['id']}/revoke")).json()
    token = await api.post(f"/v1/sessions/{session['id']}/tokens")

    assert (revoked["status"], token.status_code) == ("revoked", 404)


async def test_a_ban_revokes_the_users_sessions(
    api: httpx.AsyncClient, emulator: ClerkEmulator, user_id: str
) -> None:
    session = emulator.create_session(user_id)

    await api.post(f"/v1/users/{user_id}/ban")

    assert (await api.get(f"/v1/sessions/{session['id']}")).json()["status"] == "revoked"


async def test_a_banned_user_gets_no_session(
    api: httpx.AsyncClient, emulator: ClerkEmulator, user_id: str
) -> None:
    emulator.ban_user(user_id)

    response = await api.post("/v1/sessions", json={"user_id": user_id})

    assert response.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"), [({}, 422), ({"user_id": 1}, 422), ({"user_id": "user_nobody"}, 404)]
)
async def test_a_session_needs_a_user(
    api: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    assert (await api.post("/v1/sessions", json=body)).status_code == status


async def test_a_deleted_users_session_is_gone(
    api: httpx.AsyncClient, emulator: ClerkEmulator, user_id: str
) -> None:
    session = emulator.create_session(user_id)
    emulator.delete_user(user_id)

    assert (await api.get(f"/v1/sessions/{session['id']}")).status_code == 404


async def test_a_token_can_be_made_for_a_deleted_user(
    emulator: ClerkEmulator, user_id: str
) -> None:
    emulator.delete_user(user_id)

    _, claims = header_and_claims(emulator, emulator.session_token(user_id))

    assert claims["sub"] == user_id


async def test_the_keys_are_published_without_a_key(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    response = await api.get("/.well-known/jwks.json", headers={"Authorization": ""})

    assert response.json() == emulator.jwks()


async def test_the_backend_apis_keys_need_the_secret_key(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/jwks", headers={"Authorization": ""})

    assert response.status_code == 401


async def test_a_key_set_has_clerks_fields_and_nothing_private(emulator: ClerkEmulator) -> None:
    [key] = emulator.jwks()["keys"]

    assert key.keys() == {"use", "kty", "kid", "alg", "n", "e"}


async def test_a_rotated_key_keeps_its_kid_and_ends_the_old_one(
    emulator: ClerkEmulator, user_id: str
) -> None:
    before = emulator.session_token(user_id)
    kid = emulator.jwks()["keys"][0]["kid"]

    emulator.keys.rotate()

    assert emulator.jwks()["keys"][0]["kid"] == kid
    with pytest.raises(jwt.InvalidSignatureError):
        header_and_claims(emulator, before)


@pytest.mark.parametrize(
    ("config", "host"),
    [
        (EmulatorConfig(port=8401), b"127.0.0.1:8401$"),
        (EmulatorConfig(issuer="https://clerk.example.com"), b"clerk.example.com$"),
        (EmulatorConfig(issuer="https://clerk.example.co"), b"clerk.example.co$"),
    ],
)
def test_a_publishable_key_holds_the_issuers_host(config: EmulatorConfig, host: bytes) -> None:
    encoded = config.publishable_key.removeprefix("pk_test_")

    assert "=" not in encoded
    assert base64.b64decode(encoded + "=" * (-len(encoded) % 4)) == host
