"""Session tokens, valid and invalid."""

import base64
import hashlib
import hmac
import json
import math
from itertools import product
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_decode, base64url_encode

from tests.adapters.clerk.payloads import DATA, INSTANCE, changed

NOW = 1760000000
ISSUER = "https://example-demo-42.clerk.accounts.dev"
PARTY = "http://localhost:3000"


def recorded(name: str) -> dict[str, Any]:
    """`header` and `payload` of a token as Clerk makes it."""
    token: dict[str, Any] = json.loads((DATA / "jwt" / f"{name}.json").read_text())
    return token


HEADER = recorded("session_v2")["header"]
CLAIMS = recorded("session_v2")["payload"]


def header(**changes: Any) -> dict[str, Any]:
    return changed(HEADER, **changes)


def claims(**changes: Any) -> dict[str, Any]:
    return changed(CLAIMS, **changes)


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def rs256(key: RSAPrivateKey, unverified_header: Any, payload: Any) -> str:
    """A token with any claims and a valid signature."""
    signed = f"{segment(unverified_header)}.{segment(payload)}"
    return f"{signed}.{segment(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def hs256(secret: bytes, unverified_header: Any, payload: Any) -> str:
    signed = f"{segment(unverified_header)}.{segment(payload)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def session_token(key: RSAPrivateKey, **changes: Any) -> str:
    """A good session token, its claims changed."""
    return rs256(key, HEADER, claims(**changes))


def token_with_header(key: RSAPrivateKey, **changes: Any) -> str:
    """A good session token, its header changed."""
    return rs256(key, header(**changes), CLAIMS)


def token_as_long_as(length: int, key: RSAPrivateKey) -> str:
    """A good session token of exactly so many characters, by spaces where JSON may have them."""
    for before, after in product(range(3), range(length)):
        parts = (json.dumps(HEADER) + " " * before, json.dumps(CLAIMS) + " " * after)
        segments = sum(math.ceil(len(part) * 4 / 3) for part in parts)
        if segments + 2 + math.ceil(key.key_size / 8 * 4 / 3) == length:
            return rs256(key, *(part.encode() for part in parts))
    raise AssertionError(f"no token has {length} characters")


def other_algorithm(key: RSAPrivateKey, algorithm: str) -> str:
    return jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": INSTANCE})


def pem(key: RSAPrivateKey) -> str:
    spki = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return spki.decode()


def jwk(key: RSAPrivateKey | RSAPublicKey, kid: Any = INSTANCE, **changes: Any) -> dict[str, Any]:
    public = key.public_key() if isinstance(key, RSAPrivateKey) else key
    fields = json.loads(RSAAlgorithm.to_jwk(public))
    basic = {"kty": "RSA", "use": "sig", "alg": "RS256", "n": fields["n"], "e": fields["e"]}
    return changed({**basic, "kid": kid}, **changes)


def under_kid(token: str, kid: str) -> str:
    """The same token, as if another key had signed it."""
    header, rest = token.split(".", 1)
    renamed = orjson.loads(base64url_decode(header)) | {"kid": kid}
    return f"{base64url_encode(orjson.dumps(renamed)).decode()}.{rest}"
