"""Who is looking."""

from dataclasses import dataclass

from domain.user import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody let in. `name` is what the audit trail says; `user_id` is set for a Clerk user.

    `session` is this sign-in's own, and what proves a form to be ours is bound to it.
    """

    name: str
    may_act: bool
    session: str
    user_id: UserId | None = None
