import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import RSAAlgorithm

from adapters.clerk.prove.key_set import read_key_set
from adapters.clerk.prove.signing_keys import PinnedKey
from adapters.clerk.translate.json import Unreadable
from tests.adapters.clerk.payloads import MISSING, changed
from tests.adapters.clerk.tokens import jwk, pem

OF_AN_UNKNOWN_KIND = "-----BEGIN PUBLIC KEY-----\nMAswBQYDKgMEAwIAAA==\n-----END PUBLIC KEY-----\n"
"""With the algorithm 1.2.3.4."""


def key_set(*entries: Any, max_keys: int = 64) -> dict[str, Any]:
    return read_key_set(json.dumps({"keys": entries}).encode(), max_keys=max_keys)


class TestKeySet:
    def test_holds_public_keys_by_their_id(
        self, private_key: RSAPrivateKey, other_private_key: RSAPrivateKey
    ) -> None:
        keys = key_set(jwk(private_key, "ins_a"), jwk(other_private_key, "ins_b"))
        assert keys == {
            "ins_a": private_key.public_key(),
            "ins_b": other_private_key.public_key(),
        }

    @pytest.mark.parametrize(
        "changes", [{"use": MISSING}, {"alg": MISSING}, {"x5c": ["x"], "x": 1}]
    )
    def test_takes_keys_with_less_or_more_to_them(
        self, private_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        assert list(key_set(jwk(private_key, "ins_a", **changes))) == ["ins_a"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"kty": "EC"},
            {"kty": "oct", "k": "c2VjcmV0"},
            {"kty": MISSING},
            {"kty": ["RSA"]},
            {"use": "enc"},
            {"alg": "RS512"},
            {"alg": "HS256"},
            {"kid": MISSING},
            {"kid": None},
            {"kid": 5},
            {"kid": ["ins_a"]},
            {"n": MISSING},
            {"n": None},
            {"n": 5},
            {"n": ""},
            {"n": "!!!"},
            {"n": "é"},
            {"n": "AQAB"},
            {"e": MISSING},
            {"e": "AA"},
            {"e": "Ag"},
            {"e": "A" * 5_000},
            {"d": "AQ"},
            {"d": "AQ", "oth": []},
        ],
    )
    def test_is_not_spoilt_by_one_broken_key(
        self, private_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        broken = changed(jwk(private_key, "ins_broken"), **changes)
        assert list(key_set(broken, jwk(private_key, "ins_a"), broken)) == ["ins_a"]

    @pytest.mark.parametrize("entry", [None, 5, "x", [], {}])
    def test_leaves_out_entries_that_are_not_keys(
        self, private_key: RSAPrivateKey, entry: Any
    ) -> None:
        assert list(key_set(entry, jwk(private_key, "ins_a"))) == ["ins_a"]

    def test_takes_no_private_keys(self, private_key: RSAPrivateKey) -> None:
        private = json.loads(RSAAlgorithm.to_jwk(private_key))
        assert key_set({**private, "kid": "ins_a"}) == {}

    @pytest.mark.parametrize(
        ("bits", "taken"),
        [(1024, False), (2047, False), (2048, True), (8192, True), (8193, False), (9216, False)],
    )
    def test_takes_keys_of_2048_to_8192_bits(self, bits: int, taken: bool) -> None:
        number = (1 << (bits - 1)) + 1
        raw = number.to_bytes((bits + 7) // 8, "big")
        text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        keys = key_set({"kty": "RSA", "kid": "ins_a", "n": text, "e": "AQAB"})
        assert ("ins_a" in keys) == taken

    def test_of_two_keys_with_one_id_holds_the_later(
        self, private_key: RSAPrivateKey, other_private_key: RSAPrivateKey
    ) -> None:
        keys = key_set(jwk(private_key, "ins_a"), jwk(other_private_key, "ins_a"))
        assert keys == {"ins_a": other_private_key.public_key()}

    def test_holds_no_more_than_it_may(self, private_key: RSAPrivateKey) -> None:
        entries = [jwk(private_key, f"ins_{number}") for number in range(5)]
        assert len(key_set(*entries, max_keys=3)) == 3

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b"{}", b'{"keys":null}', b'{"keys":{}}']
    )
    def test_is_unreadable_when_it_is_none(self, body: bytes) -> None:
        with pytest.raises(Unreadable):
            read_key_set(body, max_keys=1)


class TestPinnedKey:
    @pytest.mark.parametrize("kid", [None, "ins_any", ""])
    async def test_is_the_key_of_every_token(
        self, private_key: RSAPrivateKey, kid: str | None
    ) -> None:
        pinned = PinnedKey(pem(private_key))
        await pinned.load()
        key = await pinned.key(kid)
        assert (pinned.loaded, key) == (True, private_key.public_key())
        assert await pinned.refreshed_key(kid, key) is None
        await pinned.close()

    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n", "", " "])
    async def test_survives_what_environments_do_to_line_ends(
        self, private_key: RSAPrivateKey, line_end: str
    ) -> None:
        mangled = pem(private_key).replace("\n", line_end)
        assert await PinnedKey(mangled).key(None) == private_key.public_key()

    def test_is_nothing_but_an_rsa_public_key(self, private_key: RSAPrivateKey) -> None:
        spki = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        others = [
            "",
            "x",
            "é",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
            "".join(pem(private_key).splitlines()[1:-1]),
            private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*spki).decode(),
            ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*spki).decode(),
            pem(generate_private_key(65537, 1024)),
            OF_AN_UNKNOWN_KIND,
        ]
        for other in others:
            with pytest.raises(ValueError, match="not a") as caught:
                PinnedKey(other)
            assert "BEGIN" not in str(caught.value)
