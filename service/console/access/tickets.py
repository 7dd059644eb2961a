"""A signed, expiring ticket in a cookie: what a sign-in is exchanged for, never the token."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

import jwt

from domain.user import parse_user_id
from service.console.access.visitor import Visitor

COOKIE = "console_ticket"

_ALGORITHM = "HS256"
_AUDIENCE = "console"


class Tickets:
    """`key` is secret; whoever changes it ends every sign-in."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, visitor: Visitor, lifetime: timedelta) -> str:
        claims = {
            "aud": _AUDIENCE,
            "sub": visitor.name,
            "act": visitor.may_act,
            "jti": token_urlsafe(16),
            "exp": datetime.now(UTC) + lifetime,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def visitor(self, unverified_ticket: str) -> Visitor | None:
        """None for one that is not ours, or not any more."""
        try:
            claims = jwt.decode(
                unverified_ticket,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "sub", "jti", "aud"]},
            )
        except jwt.InvalidTokenError:
            return None
        name = claims["sub"]
        return Visitor(
            name=name,
            may_act=claims["act"] is True,
            session=claims["jti"],
            user_id=parse_user_id(name) if name.startswith("user_") else None,
        )

    def form_proof(self, visitor: Visitor) -> str:
        """What only a page shown to this visitor, in this sign-in, can know."""
        about = f"form:{visitor.name}:{visitor.session}".encode()
        return hmac.new(self._key, about, hashlib.sha256).hexdigest()
