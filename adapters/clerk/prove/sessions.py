"""Verifies session tokens. Only signing keys are fetched from Clerk.

Sources: Clerk, "Manual JWT verification" and "Session tokens", and the checks of its backend SDK;
RFC 8725 for what these leave open. The same key also signs tokens from JWT templates, OAuth and
machine tokens, which may outlive a session: `typ` and `cat` distinguish them.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.utils import base64url_decode

from adapters.clerk.prove.signing_keys import SigningKeys
from adapters.clerk.prove.token_memory import TokenMemory
from adapters.clerk.translate.json import Unreadable, json_object, read_json
from domain.errors import InvalidSession, SessionPending
from domain.ports import SESSION_LEEWAY, Session, SessionVerifier
from domain.user import parse_user_id

LONGEST_TOKEN = 8192
LONGEST_LIFE = 24 * 60 * 60

_OTHER_TOKENS = ("ak_", "oat_", "mt_", "m2m_")
_SESSION_CATEGORIES = (None, "cl_B7d4PD111AAA", "cl_I7d4PD111III")
_REQUIRED = ["exp", "iat", "nbf", "sub", "sid", "iss"]
_SESSION_ID = re.compile(r"sess_[A-Za-z0-9]{1,120}")
_MALFORMED = (jwt.PyJWTError, Unreadable, ValueError, TypeError, OverflowError, RecursionError)


class ClerkSessionVerifier(SessionVerifier):
    """Session tokens of one Clerk instance.

    `issuer` is its Frontend API address. `authorized_parties` are the accepted origins (`azp`),
    compared as text; none means any. Clerk omits `azp` if there is no origin, as in native apps:
    `allow_missing_azp` says whether such tokens are accepted. `aud` is checked only if `audience`
    is set. `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        authorized_parties: frozenset[str],
        allow_missing_azp: bool,
        audience: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._authorized_parties = authorized_parties
        self._allow_missing_azp = allow_missing_azp
        self._audience = audience
        self._memory = TokenMemory(leeway=SESSION_LEEWAY.total_seconds(), clock=clock)

    async def verify(self, unverified_token: str) -> Session:
        try:
            digest = _digest(unverified_token)
            remembered = self._memory.recall(digest, self._keys.version)
            if remembered is not None:
                return remembered
            session = self._session(await self._verified_claims(unverified_token))
        except _MALFORMED as error:
            raise InvalidSession(type(error).__name__) from error
        self._memory.remember(digest, self._keys.version, session)
        return session

    async def _verified_claims(self, unverified_token: str) -> dict[str, Any]:
        header = _header(unverified_token)
        _check_header(header)
        kid = header.get("kid")
        key = await self._keys.key(kid)
        try:
            return self._claims(unverified_token, key)
        except jwt.InvalidSignatureError:
            # A rotated key of Clerk's keeps its `kid`: a bad signature may mean a new key.
            newer = await self._keys.refreshed_key(kid, key)
            if newer is None:
                raise
            return self._claims(unverified_token, newer)

    def _claims(self, unverified_token: str, key: RSAPublicKey) -> dict[str, Any]:
        return jwt.decode(
            unverified_token,
            key,
            algorithms=["RS256"],
            issuer=self._issuer,
            audience=self._audience,
            leeway=SESSION_LEEWAY,
            options={"require": _REQUIRED, "verify_aud": self._audience is not None},
        )

    def _session(self, claims: dict[str, Any]) -> Session:
        _check_times(claims)
        session = Session(
            user_id=parse_user_id(claims["sub"]),
            session_id=_session_id(claims["sid"]),
            authorized_party=self._authorized_party(claims.get("azp")),
            actor=_actor(claims.get("act")),
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            claims=MappingProxyType(claims),
        )
        if claims.get("sts") == "pending":
            raise SessionPending
        return session

    def _authorized_party(self, azp: object) -> str | None:
        if azp is None:
            if self._authorized_parties and not self._allow_missing_azp:
                raise InvalidSession("no azp")
            return None
        if not isinstance(azp, str):
            raise InvalidSession("azp is not a string")
        if self._authorized_parties and azp not in self._authorized_parties:
            raise InvalidSession("azp is not an authorized party")
        return azp


def _digest(unverified_token: str) -> bytes:
    if len(unverified_token) > LONGEST_TOKEN:
        raise InvalidSession("too long")
    if unverified_token.startswith(_OTHER_TOKENS):
        raise InvalidSession("not a session token")
    return hashlib.sha256(unverified_token.encode("ascii")).digest()


def _header(unverified_token: str) -> Mapping[str, Any]:
    # PyJWT's function decodes all three segments, which costs nearly as much as verifying.
    segment = unverified_token.partition(".")[0]
    return json_object(read_json(base64url_decode(segment)))


def _check_header(unverified_header: Mapping[str, Any]) -> None:
    """Raises `InvalidSession`. `jku`, `jwk` and `x5u` are ignored: keys are only the configured."""
    if unverified_header.get("alg") != "RS256":
        raise InvalidSession("alg")
    if unverified_header.get("typ", "JWT") != "JWT":
        raise InvalidSession("typ")
    if unverified_header.get("cat") not in _SESSION_CATEGORIES:
        raise InvalidSession("cat")
    if not isinstance(unverified_header.get("kid"), str | None):
        raise InvalidSession("kid")
    if "crit" in unverified_header:
        raise InvalidSession("crit")


def _check_times(claims: Mapping[str, Any]) -> None:
    # PyJWT also accepts 1e300, "1760000000" and true.
    if any(type(claims[name]) is not int for name in ("exp", "iat", "nbf")):
        raise InvalidSession("a time is not an integer")
    if claims["exp"] - claims["iat"] > LONGEST_LIFE:
        raise InvalidSession("the lifetime is too long")


def _session_id(sid: object) -> str:
    if isinstance(sid, str) and _SESSION_ID.fullmatch(sid):
        return sid
    raise InvalidSession("sid")


def _actor(act: object) -> Mapping[str, Any] | None:
    if act is None:
        return None
    if not isinstance(act, dict):
        raise InvalidSession("act is not an object")
    return MappingProxyType(act)
