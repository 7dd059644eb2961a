"""The session of a valid token: times, claims, authorized party and audience."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from domain.errors import SessionPending
from domain.ports import Session
from tests.adapters.clerk.payloads import ADA, MISSING
from tests.adapters.clerk.tokens import (
    CLAIMS,
    HEADER,
    ISSUER,
    NOW,
    PARTY,
    recorded,
    rs256,
    session_token,
)
from tests.adapters.clerk.verifiers import refused, verifier_of

pytestmark = pytest.mark.usefixtures("now")


class TestSession:
    async def test_is_what_the_token_says(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        assert await verifier.verify(session_token(private_key)) == Session(
            user_id=ADA,  # type: ignore[arg-type]
            session_id=CLAIMS["sid"],
            authorized_party=PARTY,
            actor=None,
            issued_at=datetime.fromtimestamp(NOW, UTC),
            expires_at=datetime.fromtimestamp(NOW + 60, UTC),
            claims=CLAIMS,
        )

    @pytest.mark.parametrize("name", ["session_v2", "session_v2_with_org", "session_v1_with_org"])
    async def test_of_every_version_is_proven(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str
    ) -> None:
        token = recorded(name)
        assert await verifier.verify(rs256(private_key, token["header"], token["payload"]))

    @pytest.mark.parametrize("name", ["session_v2_impersonated", "session_v2_agent"])
    async def test_has_the_actor_who_impersonates_the_user(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str
    ) -> None:
        token = recorded(name)
        session = await verifier.verify(rs256(private_key, token["header"], token["payload"]))
        assert session.actor == token["payload"]["act"]

    @pytest.mark.parametrize("act", ["user_x", [], 5, True])
    async def test_with_an_unreadable_actor_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, act: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, act=act))

    async def test_with_tasks_left_is_pending(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        token = recorded("session_v2_pending")
        for _ in range(2):
            with pytest.raises(SessionPending):
                await verifier.verify(rs256(private_key, token["header"], token["payload"]))

    async def test_with_tasks_left_is_still_checked(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        assert await refused(
            verifier, session_token(private_key, sts="pending", azp="https://evil")
        )

    @pytest.mark.parametrize("sts", ["active", None, MISSING])
    async def test_without_tasks_is_proven(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, sts: Any
    ) -> None:
        assert await verifier.verify(session_token(private_key, sts=sts))

    async def test_cannot_be_changed_by_its_receiver(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        session = await verifier.verify(session_token(private_key))
        with pytest.raises(TypeError):
            session.claims["sub"] = "user_other"  # type: ignore[index]


class TestTimes:
    @pytest.mark.parametrize("passed", [0, 59, 64])
    async def test_up_to_five_seconds_after_expiry_pass(
        self,
        verifier: ClerkSessionVerifier,
        private_key: RSAPrivateKey,
        now: time_machine.Traveller,
        passed: int,
    ) -> None:
        now.move_to(NOW + passed)
        assert await verifier.verify(session_token(private_key))

    @pytest.mark.parametrize("passed", [65, 66, 3600])
    async def test_later_than_that_do_not(
        self,
        verifier: ClerkSessionVerifier,
        private_key: RSAPrivateKey,
        now: time_machine.Traveller,
        passed: int,
    ) -> None:
        now.move_to(NOW + passed)
        assert await refused(verifier, session_token(private_key))

    @pytest.mark.parametrize("name", ["iat", "nbf"])
    async def test_up_to_five_seconds_ahead_pass(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str
    ) -> None:
        assert await verifier.verify(session_token(private_key, **{name: NOW + 4}))
        assert await refused(verifier, session_token(private_key, **{name: NOW + 6}))
        assert await refused(verifier, session_token(private_key, **{name: NOW + 60}))

    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    @pytest.mark.parametrize(
        "value",
        [
            MISSING,
            None,
            str(NOW),
            "x",
            True,
            1.5,
            float(NOW),
            [NOW],
            {},
            float("inf"),
            float("nan"),
        ],
    )
    async def test_are_whole_numbers(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str, value: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, **{name: value}))

    @pytest.mark.parametrize("exp", [NOW + 86_401, 10**15, 10**400, 1e300, -1, 0])
    async def test_are_at_most_a_day_apart(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, exp: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, exp=exp))

    async def test_may_be_a_day_apart(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        assert await verifier.verify(session_token(private_key, exp=NOW + 86_400))

    async def test_may_begin_long_ago(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        assert await verifier.verify(session_token(private_key, nbf=-(10**400)))


class TestClaims:
    @pytest.mark.parametrize("name", ["sub", "sid", "iss"])
    @pytest.mark.parametrize("value", [MISSING, None, "", 5, [], {}, True])
    async def test_are_needed(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str, value: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, **{name: value}))

    @pytest.mark.parametrize(
        "sub",
        [
            "mch_1",
            "user_",
            "user_a\x00",
            "user_a/../b",
            "user_' or 1=1--",
            "user_a\n",
            " user_a",
            "user_" + "a" * 5_000,
            "user_é",
        ],
    )
    async def test_of_the_user_have_the_shape_of_an_id(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, sub: str
    ) -> None:
        assert await refused(verifier, session_token(private_key, sub=sub))

    async def test_given_twice_count_as_the_last(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        twice = b'{"sub":"user_first",' + json.dumps(CLAIMS).encode()[1:]
        session = await verifier.verify(rs256(private_key, HEADER, twice))
        assert session.user_id == ADA

    @pytest.mark.parametrize(
        "sid", ["sess_", "session_1", "sess_a\n", "sess_a b", "sess_" + "a" * 121]
    )
    async def test_of_the_session_have_the_shape_of_an_id(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, sid: str
    ) -> None:
        assert await refused(verifier, session_token(private_key, sid=sid))

    @pytest.mark.parametrize("sid", ["sess_1", "sess_Zz9", "sess_" + "a" * 120])
    async def test_of_the_session_may_be_short_or_long(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, sid: str
    ) -> None:
        assert (await verifier.verify(session_token(private_key, sid=sid))).session_id == sid

    @pytest.mark.parametrize(
        "issuer",
        [
            "https://other.clerk.accounts.dev",
            f"{ISSUER}.evil.com",
            f"{ISSUER}/",
            ISSUER.upper(),
            ISSUER.replace("https", "http"),
            [ISSUER],
        ],
    )
    async def test_of_another_issuer_are_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, issuer: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, iss=issuer))


class TestAuthorizedParty:
    @pytest.mark.parametrize("azp", ["https://evil.com", f"{PARTY}/", "", [PARTY], 5, {}])
    async def test_not_listed_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, azp: Any
    ) -> None:
        assert await refused(verifier, session_token(private_key, azp=azp))

    @pytest.mark.parametrize("azp", [MISSING, None])
    async def test_missing_is_refused_unless_allowed(
        self, private_key: RSAPrivateKey, azp: Any
    ) -> None:
        token = session_token(private_key, azp=azp)
        assert await refused(verifier_of(private_key), token)
        session = await verifier_of(private_key, allow_missing_azp=True).verify(token)
        assert session.authorized_party is None

    async def test_not_listed_is_refused_though_missing_is_allowed(
        self, private_key: RSAPrivateKey
    ) -> None:
        lenient = verifier_of(private_key, allow_missing_azp=True)
        assert await refused(lenient, session_token(private_key, azp="https://evil.com"))

    @pytest.mark.parametrize("azp", ["https://any.com", MISSING])
    async def test_may_be_any_when_none_is_listed(
        self, private_key: RSAPrivateKey, azp: Any
    ) -> None:
        open_to_all = verifier_of(private_key, parties=frozenset())
        assert await open_to_all.verify(session_token(private_key, azp=azp))

    @pytest.mark.parametrize("azp", [5, [PARTY], {}, True])
    async def test_is_text(self, private_key: RSAPrivateKey, azp: Any) -> None:
        open_to_all = verifier_of(private_key, parties=frozenset())
        assert await refused(open_to_all, session_token(private_key, azp=azp))

    async def test_may_be_one_of_several(self, private_key: RSAPrivateKey) -> None:
        several = verifier_of(private_key, parties=frozenset({"https://a.com", "https://b.com"}))
        assert await several.verify(session_token(private_key, azp="https://b.com"))


class TestAudience:
    @pytest.mark.parametrize("aud", ["https://api.com", ["a", "b"], 5])
    async def test_does_not_matter_unless_configured(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, aud: Any
    ) -> None:
        assert await verifier.verify(session_token(private_key, aud=aud))

    @pytest.mark.parametrize("aud", ["ours", ["theirs", "ours"]])
    async def test_configured_is_found(self, private_key: RSAPrivateKey, aud: Any) -> None:
        strict = verifier_of(private_key, audience="ours")
        assert await strict.verify(session_token(private_key, aud=aud))

    @pytest.mark.parametrize("aud", ["theirs", ["theirs"], MISSING, None, 5, {"ours": 1}])
    async def test_configured_is_needed(self, private_key: RSAPrivateKey, aud: Any) -> None:
        strict = verifier_of(private_key, audience="ours")
        assert await refused(strict, session_token(private_key, aud=aud))
