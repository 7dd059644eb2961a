"""Session tokens: every invalid token has the same answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, webhook_bytes, with_data
from tests.adapters.clerk.tokens import rs256
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import Service, bearer, problem, running_service
from tests.service.tables import count_rows
from tests.service.tokens import (
    BAD_TOKENS,
    Maker,
    claims,
    header,
    is_unauthorized,
    now,
    titled,
    token,
)


@pytest.fixture
async def ada(service: Service, sql: Sql) -> None:
    """Ada is a known user: a token that names her would be served."""
    await service.deliver(webhook_bytes("user.created"))


@pytest.mark.usefixtures("ada")
class TestBadToken:
    @pytest.mark.parametrize("kind", BAD_TOKENS)
    async def test_is_unauthorized_and_nothing_is_asked_or_written(
        self, service: Service, clerk: ClerkEmulator, sql: Sql, kind: str
    ) -> None:
        unverified = BAD_TOKENS[kind](clerk)
        for answer in (await service.me(unverified), await service.session(unverified)):
            assert is_unauthorized(answer)
        assert clerk.calls.count("GetUser") == 0
        assert await count_rows(sql) == (1, 1)

    async def test_is_compared_with_one_that_is_served(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        assert (await service.me(token(clerk))).status_code == 200
        assert (await service.me(titled(clerk))).status_code == 200

    async def test_makes_for_one_fetch_of_the_keys_at_most(
        self, clerk: ClerkEmulator, store_url: str
    ) -> None:
        async with running_service(clerk, store_url) as service:
            await service.me(token(clerk))
            clerk.calls.clear()
            for number in range(50):
                assert is_unauthorized(await service.me(titled(clerk, kid=f"ins_{number}")))
                assert is_unauthorized(await service.me(BAD_TOKENS["another key"](clerk)))
        assert clerk.calls.count() <= 1


HEADERS: dict[str, Callable[[str], list[tuple[str, str]]]] = {
    "none": lambda _: [],
    "empty": lambda _: [("authorization", "")],
    "the scheme alone": lambda _: [("authorization", "Bearer")],
    "the scheme and a space": lambda _: [("authorization", "Bearer ")],
    "the token alone": lambda t: [("authorization", t)],
    "another scheme": lambda t: [("authorization", f"Basic {t}")],
    "a scheme that begins like it": lambda t: [("authorization", f"Bearers {t}")],
    "twice": lambda t: [("authorization", f"Bearer {t}")] * 2,
    "a bad one beside it": lambda t: [
        ("authorization", "Bearer x"),
        ("authorization", f"Bearer {t}"),
    ],
    "two in one": lambda t: [("authorization", f"Bearer {t}, Bearer {t}")],
    "not ASCII": lambda t: [("authorization", f"Bearer {t}é")],
    "in a cookie": lambda t: [("cookie", f"__session={t}")],
    "in another header": lambda t: [("x-authorization", f"Bearer {t}")],
}


@pytest.mark.usefixtures("ada")
class TestHeader:
    @pytest.mark.parametrize("kind", HEADERS)
    async def test_without_exactly_one_bearer_token_is_unauthorized(
        self, service: Service, clerk: ClerkEmulator, kind: str
    ) -> None:
        pairs = HEADERS[kind](token(clerk))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
        assert is_unauthorized(await service.http.get("/v1/me", headers=raw))

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bEARER  "])
    async def test_may_write_the_scheme_as_it_likes(
        self, service: Service, clerk: ClerkEmulator, scheme: str
    ) -> None:
        headers = {"Authorization": f"{scheme} {token(clerk)}"}
        assert (await service.http.get("/v1/me", headers=headers)).status_code == 200

    async def test_counts_whatever_the_cookie_says(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        headers = bearer(token(clerk)) | {"Cookie": "__session=nonsense"}
        assert (await service.http.get("/v1/me", headers=headers)).status_code == 200

    @pytest.mark.parametrize("name", ["token", "access_token", "__session", "authorization"])
    async def test_is_not_replaced_by_the_query(
        self, service: Service, clerk: ClerkEmulator, name: str
    ) -> None:
        assert is_unauthorized(await service.http.get("/v1/me", params={name: token(clerk)}))


GOOD_TOKENS: dict[str, Maker] = {
    "expired within the leeway": lambda c: token(c, exp=now(0)),
    "almost valid": lambda c: token(c, nbf=now(3), iat=now(3)),
    "of version 1": lambda c: token(c, v=None, org_id="org_1"),
    "of version 2": lambda c: token(c, v=2, sts="active", jti="1", fva=[0, -1]),
    "without typ": lambda c: titled(c, typ=None),
    "without cat": lambda c: titled(c, cat=None),
    "padded": lambda c: (good := token(c)) + "=" * (-len(good.rpartition(".")[2]) % 4),
    "for an audience": lambda c: token(c, aud="https://api.example.com"),
    "of the last of two subjects": lambda c: rs256(
        c.keys.private_key,
        header(c),
        b'{"sub": "user_other", ' + json.dumps(claims(c))[1:].encode(),
    ),
}


@pytest.mark.usefixtures("ada")
class TestGoodToken:
    @pytest.mark.parametrize("kind", GOOD_TOKENS)
    async def test_is_served(self, service: Service, clerk: ClerkEmulator, kind: str) -> None:
        answer = await service.session(GOOD_TOKENS[kind](clerk))
        assert (answer.status_code, answer.json()["user_id"]) == (200, ADA)

    @pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c"])
    async def test_that_brings_its_own_keys_is_proven_by_ours(
        self, service: Service, clerk: ClerkEmulator, name: str
    ) -> None:
        await service.session(token(clerk))
        clerk.calls.clear()
        answer = await service.session(
            titled(clerk, **{name: f"{clerk.url}/.well-known/jwks.json"})
        )
        assert answer.status_code == 200
        assert clerk.calls.count() == 0

    async def test_says_what_the_session_is(self, service: Service, clerk: ClerkEmulator) -> None:
        answer = await service.session(token(clerk, iat=1_760_000_000, exp=now(60)))
        assert answer.status_code == 401
        answer = await service.session(token(clerk))
        document = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert {name: document[name] for name in ("user_id", "session_id", "actor")} == {
            "user_id": ADA,
            "session_id": "sess_1",
            "actor": None,
        }
        assert document["authorized_party"] == clerk.config.authorized_party

    @pytest.mark.parametrize(
        "act", [{"sub": "user_admin"}, {"sub": "agent_1", "type": "agent", "act": {"sub": "x"}}]
    )
    async def test_has_the_actor(
        self, service: Service, clerk: ClerkEmulator, act: dict[str, Any]
    ) -> None:
        assert (await service.session(token(clerk, act=act))).json()["actor"] == act

    async def test_with_tasks_left_to_do_is_pending(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        unverified = token(clerk, sts="pending")
        for answer in (await service.me(unverified), await service.session(unverified)):
            assert answer.json() == problem(403, "session_pending")


@pytest.mark.usefixtures("store_url")
class TestUserBehindTheToken:
    async def test_deleted_is_unauthorized_without_a_call_to_clerk(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
        valid = clerk.session_token(person["id"])
        assert (await service.me(valid)).status_code == 200
        await service.deliver(with_data("user.deleted", id=person["id"]))
        clerk.calls.clear()
        answer = await service.me(valid)
        assert answer.json() == problem(401, "user_deleted")
        assert "www-authenticate" in answer.headers
        assert clerk.calls.count() == 0

    async def test_deleted_before_we_ever_saw_them_is_unauthorized_too(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
        await service.deliver(with_data("user.deleted", id=person["id"]))
        answer = await service.me(clerk.session_token(person["id"]))
        assert answer.json()["code"] == "user_deleted"
        assert clerk.calls.count("GetUser") == 0

    async def test_deleted_still_has_a_proven_session(
        self, service: Service, clerk: ClerkEmulator
    ) -> None:
        await service.deliver(webhook_bytes("user.deleted"))
        assert (await service.session(token(clerk))).status_code == 200

    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("user.updated.banned", 403),
            ("user.updated.deprovisioned_scim", 403),
            ("user.updated.locked", 200),
            ("user.updated.unbanned", 200),
        ],
    )
    async def test_is_refused_when_banned_and_not_when_locked(
        self, service: Service, clerk: ClerkEmulator, name: str, status: int
    ) -> None:
        await service.deliver(webhook_bytes(name))
        answer = await service.me(token(clerk))
        assert answer.status_code == status
        if status == 403:
            assert answer.json() == problem(403, "user_banned")

    async def test_is_served_with_every_column_of_theirs_and_no_bookkeeping(
        self, service: Service, clerk: ClerkEmulator, sql: Sql
    ) -> None:
        await service.deliver(webhook_bytes("user.updated"))
        answer = await service.me(token(clerk))
        document = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert document.pop("id") == str(await sql.fetchval("select id from users"))
        assert document.pop("image_url").startswith("https://img.clerk.com/")
        assert document == {
            "clerk_id": ADA,
            "email": "ada@example.com",
            "email_verified": True,
            "phone_number": None,
            "username": "ada",
            "first_name": "Augusta Ada",
            "last_name": "Lovelace",
            "email_addresses": [{"address": "ada@example.com", "verified": True, "primary": True}],
            "two_factor_enabled": True,
            "locked": False,
            "legal_accepted_at": None,
            "last_sign_in_at": "2025-10-09T08:53:20.120000+00:00",
            "external_id": "42",
            "public_metadata": {"plan": "pro"},
            "banned": False,
            "clerk_created_at": "2025-10-09T08:53:20+00:00",
            "clerk_updated_at": "2025-10-09T09:53:20+00:00",
            "synced_by": "webhook",
        }


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "no azp, allowed": ({"clerk_missing_azp": "allow"}, {"azp": None}, 200),
    "a wrong azp, missing allowed": ({"clerk_missing_azp": "allow"}, {"azp": "https://e.com"}, 401),
    "any azp, none listed": ({"clerk_authorized_parties": ()}, {"azp": "https://e.com"}, 200),
    "the second of two": (
        {"clerk_authorized_parties": "https://a, https://b"},
        {"azp": "https://b"},
        200,
    ),
    "our audience": ({"clerk_audience": "ours"}, {"aud": ["theirs", "ours"]}, 200),
    "another audience": ({"clerk_audience": "ours"}, {"aud": "theirs"}, 401),
    "no audience": ({"clerk_audience": "ours"}, {}, 401),
    "another instance": ({"clerk_issuer": "https://clerk.example.com"}, {}, 401),
}


@pytest.mark.parametrize("case", SETTINGS)
async def test_settings_decide_who_is_served(
    clerk: ClerkEmulator, store_url: str, case: str
) -> None:
    settings, changes, status = SETTINGS[case]
    async with running_service(clerk, store_url, **settings) as service:
        assert (await service.session(token(clerk, **changes))).status_code == status


@pytest.mark.parametrize("written", ["{pem}", "  {pem}  ", "{escaped}", "{flat}"])
async def test_with_a_pinned_key_no_key_is_fetched_and_the_kid_does_not_matter(
    clerk: ClerkEmulator, store_url: str, written: str
) -> None:
    pem = clerk.keys.public_pem()
    key = written.format(pem=pem, escaped=pem.replace("\n", "\\n"), flat=pem.replace("\n", ""))
    async with running_service(clerk, store_url, clerk_jwt_key=key) as service:
        assert (await service.session(titled(clerk, kid="ins_other"))).status_code == 200
        assert is_unauthorized(await service.session(BAD_TOKENS["another key"](clerk)))
    assert clerk.calls.count() == 0
