"""Tokens that are not session tokens: of another kind, signature or shape."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from tests.adapters.clerk.payloads import ADA, MISSING
from tests.adapters.clerk.tokens import (
    CLAIMS,
    HEADER,
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
from tests.adapters.clerk.verifiers import refused, verifier_of

pytestmark = pytest.mark.usefixtures("now")

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(max_value=10**9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
"""JSON that is neither a time of now nor an id."""


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
