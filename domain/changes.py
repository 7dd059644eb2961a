"""A change: the fact that a user's stored state became greater. It holds ids, field names and
times, and no value.

The statement that writes the user's row writes the change too, so there is exactly one.
`unchanged`, `stale` and `gone` write none.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.user import CONTENT_FIELDS, Outcome, Source, User, UserId, differing


class Kind(StrEnum):
    """What happened to a user."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one user.

    `user_id` is our own id of the user, `clerk_id` Clerk's; both stay valid after a deletion.
    `changed` names the fields of `User` that differ, only for `updated`. `occurred_at` is on
    Clerk's clock, `recorded_at` on the store's. `position` is 0 until a reader has numbered it.
    `traceparent` continues the trace of the request that brought it, if that one is recorded.
    """

    clerk_id: UserId
    user_id: UUID
    kind: Kind
    changed: tuple[str, ...]
    source: Source
    occurred_at: datetime
    recorded_at: datetime
    position: int
    traceparent: str | None = None


class Difference(NamedTuple):
    """A change before it is stored: without an id and a position."""

    kind: Kind
    changed: tuple[str, ...] = ()


def difference(outcome: Outcome, stored: object, observed: object) -> Difference | None:
    """The change that belongs to an outcome; None if there is none.

    With a new digest format, an `updated` may differ in no field. That is not a change.
    """
    if not outcome.changed_state:
        return None
    kind = Kind(outcome.value)
    if kind is not Kind.UPDATED or not (isinstance(stored, User) and isinstance(observed, User)):
        return Difference(kind)
    changed = differing(CONTENT_FIELDS, stored, observed)
    return Difference(kind, changed) if changed else None
