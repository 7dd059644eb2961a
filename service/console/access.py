"""The permissions that the settings grant, and the limit on failed sign-ins."""

import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address, ip_network
from typing import Any

from cachetools import TTLCache
from fastapi import Request
from pydantic import SecretStr

from domain.ports import Session
from domain.user import UserId
from service.settings import Settings

ATTEMPTS = 10
"""Failed sign-ins that a network may make until a minute has passed since the last of them."""

FAILURES_ON_THE_TRAIL = 100
"""The same of all networks together, for those that are written to the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person who may use the console. `name` is for the audit trail; `user_id` is set for a Clerk
    user.

    `form_proof` is known only to pages that were shown in this sign-in.
    """

    name: str
    may_act: bool
    form_proof: str
    user_id: UserId | None = None


@dataclass(frozen=True, slots=True)
class Right:
    """What a ground permits. Without a name, the visitor is named by their Clerk id."""

    may_act: bool
    name: str = ""


class Access:
    """The grounds for a sign-in that the settings name.

    A ground is `token:` and a fingerprint, a Clerk user id, or a role as `org_…:role`.
    """

    def __init__(self, settings: Settings) -> None:
        self._key = settings.clerk_secret_key.get_secret_value().encode()
        self.rights: Mapping[str, Right] = {
            **dict.fromkeys(settings.console_readers, Right(may_act=False)),
            **dict.fromkeys(settings.console_operators, Right(may_act=True)),
            **self._of_token(settings.console_token, Right(may_act=False, name="reader token")),
            **self._of_token(
                settings.console_operator_token, Right(may_act=True, name="operator token")
            ),
        }
        self._bodies = settings.console_bodies
        self.takes_sessions = bool(settings.console_readers or settings.console_operators)
        self.takes_tokens = bool(settings.console_token or settings.console_operator_token)
        self.attempts = Limit(ATTEMPTS)
        self.failures_on_the_trail = Limit(FAILURES_ON_THE_TRAIL)
        self._proxies = tuple(ip_network(one, strict=False) for one in settings.trusted_proxies)

    def of_token(self, unverified_token: str) -> str | None:
        """The ground that a token is, or None. Takes as long for any token."""
        given = self._fingerprint(unverified_token)
        equal = [ground for ground in self.rights if compare_digest(ground, given)]
        return equal[0] if equal else None

    def of_session(self, session: Session) -> str | None:
        """The ground that a proven Clerk session has, the one that may act if there are two.

        There is none for a person who impersonates the user.
        """
        if session.actor is not None:
            return None
        candidates = (session.user_id, _role(session.claims))
        grounds = [one for one in candidates if one in self.rights]
        return max(grounds, key=lambda one: self.rights[one].may_act, default=None)

    def proof(self, secret: str) -> str:
        """The proof in the forms of one sign-in."""
        return hmac.new(self._key, f"form:{secret}".encode(), hashlib.sha256).hexdigest()

    def may_see_bodies(self, visitor: Visitor) -> bool:
        return self._bodies == "readers" or (self._bodies == "operators" and visitor.may_act)

    def address_of(self, request: Request) -> str:
        """The address that a request comes from: the nearest that is not a trusted proxy.

        `X-Forwarded-For` is read from its end, and no further than the first address that
        TRUSTED_PROXIES does not list: a client can write everything before it.
        """
        address = request.client.host if request.client else ""
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while hops and _is_within(address, self._proxies):
            address = _without_port(hops.pop().strip())
        return address

    def _of_token(self, token: SecretStr | None, right: Right) -> dict[str, Right]:
        return {self._fingerprint(token.get_secret_value()): right} if token else {}

    def _fingerprint(self, token: str) -> str:
        digest = hmac.new(self._key, f"console token:{token}".encode(), hashlib.sha256)
        return f"token:{digest.hexdigest()}"


class Limit:
    """Counts events by a name, up to `allowed` within a minute after the last that was counted."""

    def __init__(self, allowed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._counts: TTLCache[str, int] = TTLCache(maxsize=1000, ttl=60, timer=clock)

    def allows(self, name: str = "") -> bool:
        """Count one more, unless there are too many already."""
        count = self._counts.get(name, 0)
        if count < self._allowed:
            self._counts[name] = count + 1
        return count < self._allowed


def network_of(address: str, v4: int = 32, v6: int = 64) -> str:
    """The network of an address. A subscriber has at least a /64 of IPv6 addresses (RFC 6177)."""
    try:
        version = ip_address(address).version
    except ValueError:
        return address
    return str(
        ip_network(f"{address.partition('%')[0]}/{v4 if version == 4 else v6}", strict=False)
    )


def _role(claims: Mapping[str, Any]) -> str:
    """The role as `org_…:role`. Source: Clerk, "Session tokens".

    A role counts in one organisation only: anyone may make an organisation and be its admin.
    Version 2 has `o.id` and `o.rol`; version 1 has `org_id` and `org_role`, with `org:` before it.
    """
    active = claims.get("o")
    if isinstance(active, Mapping):
        return _named(active.get("id"), active.get("rol"))
    return _named(claims.get("org_id"), claims.get("org_role"))


def _named(organisation: object, role: object) -> str:
    if not (isinstance(organisation, str) and isinstance(role, str)):
        return ""
    return f"{organisation}:{role.removeprefix('org:')}"


def _is_within(address: str, networks: Collection[Any]) -> bool:
    try:
        return any(ip_address(address) in network for network in networks)
    except ValueError:
        return False


def _without_port(text: str) -> str:
    """Some proxies write `203.0.113.7:52100` or `[2001:db8::1]:52100`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
