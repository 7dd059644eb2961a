"""The rules of who is let in, from the settings."""

import hashlib
import hmac
from datetime import timedelta
from hmac import compare_digest

from pydantic import SecretStr

from domain.ports import Session
from service.console.access.attempts import Attempts
from service.console.access.grants import is_granted
from service.console.access.tickets import Tickets
from service.console.access.visitor import Visitor
from service.settings import Settings

WITH_A_TOKEN = timedelta(hours=8)
WITH_A_SESSION = timedelta(hours=1)
"""How long a sign-in lasts. Clerk may end a session earlier, and we would not hear of it."""


class Access:
    """Both tokens, both lists, and the tickets they are exchanged for."""

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
        """Compared in constant time, with both tokens, whichever it is."""
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
        """A ticket, and how long it is good for."""
        lifetime = WITH_A_SESSION if visitor.user_id else WITH_A_TOKEN
        return self._tickets.issue(visitor, lifetime), lifetime

    def form_proof(self, visitor: Visitor) -> str:
        return self._tickets.form_proof(visitor)

    def is_our_form(self, visitor: Visitor, unverified_proof: str) -> bool:
        return compare_digest(self.form_proof(visitor).encode(), unverified_proof.encode())

    def may_see_bodies(self, visitor: Visitor) -> bool:
        return self._bodies == "readers" or (self._bodies == "operators" and visitor.may_act)


def _same(given: bytes, token: bytes) -> bool:
    return compare_digest(given, token) and bool(token)


def _secret(value: SecretStr | None) -> bytes:
    return value.get_secret_value().encode() if value else b""


def _key(settings: Settings) -> bytes:
    """Made of all that decides on access: a change of any of it ends every sign-in."""
    tokens = (settings.console_token, settings.console_operator_token)
    parts = [
        *(_secret(token).hex() for token in tokens),
        ",".join(settings.console_readers),
        ",".join(settings.console_operators),
    ]
    secret = settings.clerk_secret_key.get_secret_value().encode()
    return hmac.new(secret, f"console:{'|'.join(parts)}".encode(), hashlib.sha256).digest()
