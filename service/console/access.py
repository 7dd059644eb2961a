"""Who may use the console: the tokens and lists of the settings, and the tickets of a sign-in."""

import hashlib
import hmac
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Any

import jwt
from pydantic import SecretStr

from domain.ports import Session
from domain.user import UserId, parse_user_id
from service.settings import Settings

COOKIE = "console_ticket"

WITH_A_TOKEN = timedelta(hours=8)
WITH_A_SESSION = timedelta(hours=1)
"""How long a sign-in lasts. The console does not hear of it when Clerk ends a session earlier."""

ATTEMPTS = 10
ATTEMPTS_WITHIN = 60.0
"""Seconds."""
ADDRESSES_REMEMBERED = 1000
"""Beyond this number all are forgotten at once: a token is too long to be guessed anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person who is let in. `name` is for the audit trail; `user_id` is set for a Clerk user.

    `session` identifies this sign-in; the proof in a form is bound to it.
    """

    name: str
    may_act: bool
    session: str
    user_id: UserId | None = None


class Access:
    """The rules of the settings, and the tickets that a sign-in is exchanged for."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = {
            "reader token": _secret(settings.console_token),
            "operator token": _secret(settings.console_operator_token),
        }
        self._readers = frozenset(settings.console_readers)
        self._operators = frozenset(settings.console_operators)
        self._bodies = settings.console_bodies
        self._tickets = Tickets(_key(settings))
        self.attempts = Attempts()
        self.takes_sessions = bool(self._readers or self._operators)
        self.takes_tokens = any(self._tokens.values())

    def with_token(self, unverified_token: str) -> Visitor | None:
        """Compares with both tokens in constant time."""
        given = unverified_token.encode()
        equal = [name for name, token in self._tokens.items() if _same(given, token)]
        if not equal:
            return None
        return Visitor(name=equal[-1], may_act=equal[-1] == "operator token", session="")

    def with_session(self, session: Session) -> Visitor | None:
        may_act = is_granted(session, self._operators)
        if not (may_act or is_granted(session, self._readers)):
            return None
        return Visitor(
            name=session.user_id,
            may_act=may_act,
            session=session.session_id,
            user_id=session.user_id,
        )

    def with_ticket(self, unverified_ticket: str) -> Visitor | None:
        return self._tickets.visitor(unverified_ticket)

    def ticket(self, visitor: Visitor) -> tuple[str, timedelta]:
        """A ticket and its lifetime."""
        lifetime = WITH_A_SESSION if visitor.user_id else WITH_A_TOKEN
        return self._tickets.issue(visitor, lifetime), lifetime

    def form_proof(self, visitor: Visitor) -> str:
        return self._tickets.form_proof(visitor)

    def is_our_form(self, visitor: Visitor, unverified_proof: str) -> bool:
        return compare_digest(self.form_proof(visitor).encode(), unverified_proof.encode())

    def may_see_bodies(self, visitor: Visitor) -> bool:
        return self._bodies == "readers" or (self._bodies == "operators" and visitor.may_act)


class Tickets:
    """Signed, expiring tickets for a cookie. A new `key` ends every sign-in."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, visitor: Visitor, lifetime: timedelta) -> str:
        claims = {
            "aud": "console",
            "sub": visitor.name,
            "act": visitor.may_act,
            "jti": token_urlsafe(16),
            "exp": datetime.now(UTC) + lifetime,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def visitor(self, unverified_ticket: str) -> Visitor | None:
        """None for a ticket that is expired or was not issued with this key."""
        try:
            claims = jwt.decode(
                unverified_ticket,
                self._key,
                algorithms=["HS256"],
                audience="console",
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


class Attempts:
    """Failed sign-ins, by the address they come from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: defaultdict[str, deque[float]] = defaultdict(deque)

    def are_exhausted(self, address: str) -> bool:
        failures = self._failures.get(address, deque())
        while failures and failures[0] <= self._clock() - ATTEMPTS_WITHIN:
            failures.popleft()
        return len(failures) >= ATTEMPTS

    def failed(self, address: str) -> None:
        if len(self._failures) >= ADDRESSES_REMEMBERED:
            self._failures.clear()
        self._failures[address].append(self._clock())


def is_granted(session: Session, grants: Collection[str]) -> bool:
    """Whether the user, or the role in the active organisation, is among the grants.

    Never for a person who impersonates the user. A role counts in one organisation only: anyone
    may make an organisation and be its admin.
    """
    if session.actor is not None:
        return False
    return session.user_id in grants or _role(session.claims) in grants


def _role(claims: Mapping[str, Any]) -> str | None:
    """The role as `org_…:role`. Source: Clerk, "Session tokens".

    Version 2 has `o.id` and `o.rol`; version 1 has `org_id` and `org_role`, with `org:` before it.
    """
    active = claims.get("o")
    if isinstance(active, Mapping):
        return _named(active.get("id"), active.get("rol"))
    return _named(claims.get("org_id"), claims.get("org_role"))


def _named(organisation: object, role: object) -> str | None:
    if not (isinstance(organisation, str) and isinstance(role, str)):
        return None
    return f"{organisation}:{role.removeprefix('org:')}"


def _same(given: bytes, token: bytes) -> bool:
    return compare_digest(given, token) and bool(token)


def _secret(value: SecretStr | None) -> bytes:
    return value.get_secret_value().encode() if value else b""


def _key(settings: Settings) -> bytes:
    """Depends on every setting that decides on access, so a change of any ends every sign-in."""
    tokens = (settings.console_token, settings.console_operator_token)
    parts = [
        *(_secret(token).hex() for token in tokens),
        ",".join(settings.console_readers),
        ",".join(settings.console_operators),
    ]
    secret = settings.clerk_secret_key.get_secret_value().encode()
    return hmac.new(secret, f"console:{'|'.join(parts)}".encode(), hashlib.sha256).digest()
