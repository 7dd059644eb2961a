import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import PinnedKey
from domain.errors import InvalidSession, SessionPending
from domain.ports import Session
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.payloads import ADA, MISSING
from tests.adapters.clerk.tokens import (
    CLAIMS,
    HEADER,
    ISSUER,
    NOW,
    PARTY,
    claims,
    header,
    hs256,
    other_algorithm,
    pem,
    recorded,
    rs256,
    segment,
    session_token,
    token_as_long_as,
    token_with_header,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(max_value=10**9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
"""JSON that is neither a time of now nor an id."""


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def verifier_of(
    key: RSAPrivateKey,
    *,
    parties: frozenset[str] = frozenset({PARTY}),
    allow_missing_azp: bool = False,
    audience: str | None = None,
) -> ClerkSessionVerifier:
    return ClerkSessionVerifier(
        PinnedKey(pem(key)),
        issuer=ISSUER,
        authorized_parties=parties,
        allow_missing_azp=allow_missing_azp,
        audience=audience,
    )


@pytest.fixture
def verifier(private_key: RSAPrivateKey) -> ClerkSessionVerifier:
    return verifier_of(private_key)


async def refused(verifier: ClerkSessionVerifier, token: str) -> bool:
    with pytest.raises(InvalidSession):
        await verifier.verify(token)
    return True


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


class TestKind:
    @pytest.mark.parametrize(
        "name", ["REJECT_jwt_template", "REJECT_m2m_jwt", "REJECT_oauth_at_jwt"]
    )
    async def test_of_another_token_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, name: str
    ) -> None:
        token = recorded(name)
        # With every claim of a session, so that only its category differs.
        whole = {**CLAIMS, "sub": token["payload"].get("sub", ADA)}
        assert await refused(verifier, rs256(private_key, token["header"], whole))
        assert await refused(verifier, rs256(private_key, token["header"], token["payload"]))

    @pytest.mark.parametrize("prefix", ["ak_", "oat_", "mt_", "m2m_"])
    async def test_of_an_opaque_token_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, prefix: str
    ) -> None:
        assert await refused(verifier, f"{prefix}secret")
        assert await refused(verifier, prefix + session_token(private_key))

    @pytest.mark.parametrize(
        "changes",
        [
            {"typ": "at+jwt"},
            {"typ": "application/at+jwt"},
            {"typ": "jwt"},
            {"typ": None},
            {"typ": 5},
            {"typ": ["JWT"]},
            {"cat": "cl_B7d4PD222AAA"},
            {"cat": "cl_B7d4PD333AAA"},
            {"cat": "cl_other"},
            {"cat": ""},
            {"cat": 5},
            {"cat": ["cl_B7d4PD111AAA"]},
            {"kid": 5},
            {"kid": ["ins_a"]},
            {"crit": ["exp"], "exp": 1},
            {"crit": []},
            {"crit": ["b64"], "b64": True},
            {"b64": False},
        ],
    )
    async def test_by_its_header_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        assert await refused(verifier, token_with_header(private_key, **changes))

    @pytest.mark.parametrize(
        "changes",
        [
            {"typ": MISSING},
            {"cat": MISSING},
            {"cat": "cl_I7d4PD111III"},
            {"oiat": 1},
            {"jku": "http://169.254.169.254/"},
            {"jwk": {"kty": "RSA"}},
            {"x5u": "file:///etc/passwd"},
            {"kid": MISSING},
            {"kid": "ins_other"},
        ],
    )
    async def test_of_a_session_token_is_taken(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        assert await verifier.verify(token_with_header(private_key, **changes))


class TestSignature:
    async def test_of_another_key_is_refused(
        self, verifier: ClerkSessionVerifier, other_private_key: RSAPrivateKey
    ) -> None:
        assert await refused(verifier, session_token(other_private_key))

    @pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
    async def test_of_another_algorithm_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, algorithm: str
    ) -> None:
        assert await refused(verifier, other_algorithm(private_key, algorithm))

    @pytest.mark.parametrize(
        "algorithm", ["none", "NoNe", "", "rs256", "HS256", None, MISSING, 5, ["RS256"]]
    )
    async def test_under_another_name_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, algorithm: Any
    ) -> None:
        assert await refused(verifier, token_with_header(private_key, alg=algorithm))

    @pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
    async def test_by_the_public_key_as_a_secret_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, algorithm: str
    ) -> None:
        token = hs256(pem(private_key).encode(), header(alg=algorithm), CLAIMS)
        assert await refused(verifier, token)

    async def test_stripped_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        signed, _, _ = session_token(private_key).rpartition(".")
        assert await refused(verifier, f"{signed}.")
        assert await refused(verifier, f"{segment(header(alg='none'))}.{segment(CLAIMS)}.")

    async def test_of_another_payload_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        first, _, last = session_token(private_key).split(".")
        assert await refused(verifier, f"{first}.{segment(claims(sub='user_other'))}.{last}")


class TestShape:
    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "null",
            "undefined",
            "é.é.é",
            "\ud800.a.b",
            "\x00",
            " ",
            "x" * 8193,
            f"{segment(HEADER)}.{segment(CLAIMS)}",
        ],
    )
    async def test_of_no_token_is_refused(self, verifier: ClerkSessionVerifier, token: str) -> None:
        assert await refused(verifier, token)

    @pytest.mark.parametrize("segments", [2, 4, 5])
    async def test_with_segments_too_few_or_many_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, segments: int
    ) -> None:
        parts = [*session_token(private_key).split("."), "e30", "e30"]
        assert await refused(verifier, ".".join(parts[:segments]))

    @pytest.mark.parametrize(
        "unverified_header",
        [[], "x", None, 5, b"", b"\xff", b"{", b"[" * 5_000, b'{"alg":' + b"9" * 5_000 + b"}"],
    )
    async def test_of_the_header_is_an_object(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, unverified_header: Any
    ) -> None:
        assert await refused(verifier, rs256(private_key, unverified_header, CLAIMS))

    @pytest.mark.parametrize(
        "payload",
        [[], "x", None, 5, b"", b"\xff", b"{", b"[" * 5_000, b'{"exp":' + b"9" * 5_000 + b"}"],
    )
    async def test_of_the_payload_is_an_object(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, payload: Any
    ) -> None:
        assert await refused(verifier, rs256(private_key, HEADER, payload))

    @pytest.mark.parametrize("extra", [" ", "\n", "=", "!", "é"])
    async def test_with_something_added_is_refused(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, extra: str
    ) -> None:
        token = session_token(private_key)
        await verifier.verify(token)
        assert await refused(verifier, token + extra)

    async def test_padded_proves_the_same_session(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        token = session_token(private_key)
        padded = token + "=" * (-len(token.rpartition(".")[2]) % 4)
        assert padded != token
        assert await verifier.verify(padded) == await verifier.verify(token)

    async def test_up_to_eight_kibibytes_is_taken(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey
    ) -> None:
        assert await verifier.verify(token_as_long_as(8192, private_key))
        assert await refused(verifier, token_as_long_as(8193, private_key))

    @settings(max_examples=40)
    @given(token=st.text(max_size=200))
    async def test_of_anything_raises_nothing_else(
        self, private_key: RSAPrivateKey, token: str
    ) -> None:
        assert await refused(verifier_of(private_key), token)

    @settings(max_examples=40)
    @given(
        fields=st.dictionaries(st.sampled_from(["alg", "typ", "cat", "kid", "crit", "b64"]), VALUES)
    )
    async def test_of_any_header_raises_nothing_else(
        self, private_key: RSAPrivateKey, fields: dict[str, Any]
    ) -> None:
        token = f"{segment({**HEADER, **fields})}.{segment(CLAIMS)}.AAAA"
        assert await refused(verifier_of(private_key), token)

    @settings(max_examples=40)
    @given(name=st.sampled_from(["exp", "iat", "sub", "sid", "iss", "azp"]), value=VALUES)
    async def test_of_any_claim_raises_nothing_else(
        self, private_key: RSAPrivateKey, name: str, value: Any
    ) -> None:
        assert await refused(verifier_of(private_key), session_token(private_key, **{name: value}))


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


class CountingKeys(PinnedKey):
    """A pinned key that counts how often it is asked for."""

    def __init__(self, pem: str) -> None:
        super().__init__(pem)
        self.asked = 0
        self.rotations = 0

    @property
    def version(self) -> int:
        return self.rotations

    async def key(self, unverified_kid: str | None) -> RSAPublicKey:
        self.asked += 1
        return await super().key(unverified_kid)


class TestMemory:
    @pytest.fixture
    def keys(self, private_key: RSAPrivateKey) -> CountingKeys:
        return CountingKeys(pem(private_key))

    @pytest.fixture
    def verifier(self, keys: CountingKeys) -> ClerkSessionVerifier:
        return ClerkSessionVerifier(
            keys,
            issuer=ISSUER,
            authorized_parties=frozenset(),
            allow_missing_azp=False,
            audience=None,
        )

    async def test_spares_a_token_its_second_proof(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        token = session_token(private_key)
        assert await verifier.verify(token) == await verifier.verify(token)
        assert keys.asked == 1

    @pytest.mark.parametrize(("passed", "still_good"), [(64, True), (65, False), (66, False)])
    async def test_does_not_outlive_the_token(
        self,
        verifier: ClerkSessionVerifier,
        private_key: RSAPrivateKey,
        now: time_machine.Traveller,
        passed: int,
        still_good: bool,
    ) -> None:
        token = session_token(private_key)
        await verifier.verify(token)
        now.move_to(NOW + passed)
        if still_good:
            assert await verifier.verify(token)
        else:
            assert await refused(verifier, token)

    async def test_lasts_a_minute_by_its_clock(
        self, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        clock = Clock()
        verifier = ClerkSessionVerifier(
            keys,
            issuer=ISSUER,
            authorized_parties=frozenset(),
            allow_missing_azp=False,
            audience=None,
            clock=clock,
        )
        token = session_token(private_key)
        for passed, asked in ((0, 1), (59.5, 1), (0.5, 2)):
            clock.pass_seconds(passed)
            await verifier.verify(token)
            assert keys.asked == asked

    async def test_does_not_outlive_the_keys(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        token = session_token(private_key)
        await verifier.verify(token)
        keys.rotations += 1
        await verifier.verify(token)
        assert keys.asked == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": "RS512"},
            {"alg": "HS256"},
            {"typ": "at+jwt"},
            {"cat": "cl_B7d4PD222AAA"},
            {"crit": ["exp"]},
            {"kid": 5},
            {"kid": ["ins_a"]},
        ],
    )
    async def test_and_keys_are_not_troubled_with_other_kinds_of_token(
        self,
        verifier: ClerkSessionVerifier,
        keys: CountingKeys,
        private_key: RSAPrivateKey,
        changes: dict[str, Any],
    ) -> None:
        assert await refused(verifier, token_with_header(private_key, **changes))
        assert keys.asked == 0

    async def test_keeps_no_refusal(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, other_private_key: RSAPrivateKey
    ) -> None:
        token = session_token(other_private_key)
        assert await refused(verifier, token)
        assert await refused(verifier, token)
        assert keys.asked == 2
