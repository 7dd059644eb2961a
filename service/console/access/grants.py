"""Which Clerk sessions are let in: named users, and roles in a named organisation.

A role alone would let in anyone who can make an organisation of their own, so it is always that
of one organisation. Source: Clerk, "Session tokens" (version 2: `o.id` and `o.rol`; version 1:
`org_id` and `org_role`, with `org:` before the role).
"""

from collections.abc import Collection, Mapping
from typing import Any

from domain.ports import Session


def is_granted(session: Session, grants: Collection[str]) -> bool:
    """Never for someone who impersonates the user."""
    if session.actor is not None:
        return False
    return session.user_id in grants or _role(session.claims) in grants


def _role(claims: Mapping[str, Any]) -> str | None:
    """As `org_…:role`, of the organisation that is active in the session."""
    active = claims.get("o")
    if isinstance(active, Mapping):
        return _named(active.get("id"), active.get("rol"))
    return _named(claims.get("org_id"), claims.get("org_role"))


def _named(organisation: object, role: object) -> str | None:
    if not (isinstance(organisation, str) and isinstance(role, str)):
        return None
    return f"{organisation}:{role.removeprefix('org:')}"
