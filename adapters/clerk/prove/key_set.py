"""RSA public keys from a JWKS (RFC 7517) or a PEM."""

import re
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import RSAAlgorithm

from adapters.clerk.translate.json import Unreadable, json_object, read_json

_ESCAPED_BREAK = re.compile(r"(\\+r)?\\+n")
_NOT_ONE = {
    "PRIVATE KEY-----": "a private key, which nobody may have: take the JWKS Public Key of Clerk",
    "BEGIN CERTIFICATE": "a certificate: give its key (openssl x509 -pubkey -noout)",
    "ssh-rsa": "a key for SSH: give a PEM that begins with BEGIN PUBLIC KEY",
}

SHORTEST_KEY = 2048
LONGEST_KEY = 8192
"""Bits. The cost of a verification grows with their square."""


def read_key_set(unverified_body: bytes, *, max_keys: int) -> dict[str, RSAPublicKey]:
    """The RS256 signing keys by `kid`; of two keys with one `kid`, the later one.

    A key that is malformed, or of another size or type, is left out. Raises `Unreadable` if the
    body is not a JWKS.
    """
    entries = json_object(read_json(unverified_body)).get("keys")
    if not isinstance(entries, list):
        raise Unreadable("wrong_type")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries[:max_keys]:
        key = _signing_key(entry)
        if key is not None:
            keys[entry["kid"]] = key
    return keys


def read_pem(pem: str) -> RSAPublicKey:
    r"""The RSA public key in a PEM whose line breaks may be missing, or written as `\n` or `\\n`.

    Raises `ValueError` for anything else, and for another size. The error does not quote the input,
    which may be a private key that was pasted by mistake.
    """
    text = _ESCAPED_BREAK.sub("\n", pem).strip("\"' \t\r\n")
    for mark, words in _NOT_ONE.items():
        if mark in text:
            raise ValueError(f"not a public key but {words}")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a PEM of an RSA public key") from None
    if not isinstance(key, RSAPublicKey) or not _fitting(key):
        raise ValueError(f"not an RSA public key of {SHORTEST_KEY:,} to {LONGEST_KEY:,} bits")
    return key


def _signing_key(entry: Any) -> RSAPublicKey | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    if (entry.get("kty"), entry.get("use", "sig"), entry.get("alg", "RS256")) != (
        "RSA",
        "sig",
        "RS256",
    ):
        return None
    try:
        key = RSAAlgorithm.from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPublicKey) and _fitting(key) else None


def _fitting(key: RSAPublicKey) -> bool:
    return SHORTEST_KEY <= key.key_size <= LONGEST_KEY
