"""Signing keys, session tokens (version 2) and sessions.

The claims are those of Clerk docs, "Session tokens"; the categories (`cat`) those of
`@clerk/backend`, tokens/jwtCategories.ts. The `kid` is the instance id, so a rotated key keeps it.
"""

import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from scripts.clerk_emulator import errors
from scripts.clerk_emulator.config import new_id

SESSION_CATEGORY = "cl_B7d4PD111AAA"
TEMPLATE_CATEGORY = "cl_B7d4PD222AAA"
TOKEN_LIFETIME = 60
"""Seconds from `iat` to `exp`."""

_NOT_BEFORE = 10
_TEMPLATE_NOT_BEFORE = 5
_WEEK = 7 * 24 * 3600 * 1000
_MONTH = 30 * 24 * 3600 * 1000


class SigningKeys:
    """The instance's RSA key. As at Clerk there is one at a time."""

    def __init__(self, kid: str, private_key: rsa.RSAPrivateKey | None = None) -> None:
        self.kid = kid
        self.private_key = private_key or new_signing_key()

    def rotate(self, kid: str | None = None) -> None:
        """Replace the key at once. The new one keeps the `kid` unless another is given."""
        self.kid = kid or self.kid
        self.private_key = new_signing_key()

    def sign(self, claims: Mapping[str, Any], headers: Mapping[str, Any]) -> str:
        headers = {"kid": self.kid, **headers}
        return jwt.encode(dict(claims), self.private_key, algorithm="RS256", headers=headers)

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set of `/v1/jwks` and `/.well-known/jwks.json`."""
        public = RSAAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        key = {"use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256"}
        return {"keys": [key | {"n": public["n"], "e": public["e"]}]}

    def public_pem(self) -> str:
        """The dashboard's "JWKS Public Key", for `CLERK_JWT_KEY`."""
        return (
            self.private_key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )


@dataclass(frozen=True, kw_only=True)
class Session:
    """Times are milliseconds since 1970."""

    id: str
    user_id: str
    client_id: str
    created_at: int
    updated_at: int
    status: str = "active"


class Sessions:
    """All sessions of the instance."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._ids_of_user: defaultdict[str, list[str]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, session_id: str) -> Session:
        """Raises `ClerkApiError` 404 if the session does not exist."""
        session = self._by_id.get(session_id)
        if session is None:
            raise errors.session_not_found(session_id)
        return session

    def create(self, user_id: str, now: int) -> Session:
        session = Session(
            id=new_id("sess"),
            user_id=user_id,
            client_id=new_id("client"),
            created_at=now,
            updated_at=now,
        )
        self._by_id[session.id] = session
        self._ids_of_user[user_id].append(session.id)
        return session

    def active_of(self, user_id: str) -> list[Session]:
        sessions = [self._by_id[session_id] for session_id in self._ids_of_user[user_id]]
        return [session for session in sessions if session.status == "active"]

    def revoke(self, session_id: str, now: int) -> Session:
        session = replace(self.get(session_id), status="revoked", updated_at=now)
        self._by_id[session_id] = session
        return session

    def remove_all_of(self, user_id: str) -> None:
        for session_id in self._ids_of_user.pop(user_id, []):
            del self._by_id[session_id]


def session_json(session: Session) -> dict[str, Any]:
    """OpenAPI `Session`."""
    return {
        "abandon_at": session.created_at + _MONTH,
        "actor": None,
        "client_id": session.client_id,
        "created_at": session.created_at,
        "expire_at": session.created_at + _WEEK,
        "id": session.id,
        "last_active_at": session.updated_at,
        "last_active_organization_id": None,
        "latest_activity": {
            "object": "session_activity",
            "id": session.id.replace("sess_", "sess_activity_"),
            "browser_name": "Chrome",
            "browser_version": "141.0.0.0",
            "city": "London",
            "country": "GB",
            "device_type": "Linux",
            "ip_address": "203.0.113.10",
            "is_mobile": False,
        },
        "object": "session",
        "status": session.status,
        "updated_at": session.updated_at,
        "user_id": session.user_id,
    }


def session_claims(
    *, user_id: str, session_id: str, issuer: str, authorized_party: str, now: int, lifetime: int
) -> dict[str, Any]:
    """The claims of a session token, version 2. `now` and `lifetime` are seconds."""
    return {
        "azp": authorized_party,
        "exp": now + lifetime,
        "fva": [0, -1],
        "iat": now,
        "iss": issuer,
        "jti": secrets.token_hex(10),
        "nbf": now - _NOT_BEFORE,
        "sid": session_id,
        "sts": "active",
        "sub": user_id,
        "v": 2,
    }


def template_claims(
    *, user_id: str, issuer: str, authorized_party: str, now: int, lifetime: int
) -> dict[str, Any]:
    """The claims of a JWT template's token. It has no `sid` and outlives the session."""
    return {
        "azp": authorized_party,
        "exp": now + lifetime,
        "iat": now,
        "iss": issuer,
        "jti": secrets.token_hex(10),
        "nbf": now - _TEMPLATE_NOT_BEFORE,
        "sub": user_id,
    }


def new_signing_key() -> rsa.RSAPrivateKey:
    """An RSA key of 2048 bits, as Clerk's. Takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def load_signing_key(pem: str) -> rsa.RSAPrivateKey:
    """The key in a PEM of `private_pem`. Raises `ValueError` if it is another kind of key."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA private key")  # noqa: TRY004 - the content is wrong
    return key
