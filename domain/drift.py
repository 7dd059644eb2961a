"""Where our table and Clerk disagree about a user."""

from dataclasses import dataclass
from enum import StrEnum

from domain.user import (
    CONTENT_FIELDS,
    DeletedUser,
    LocalUser,
    Outcome,
    User,
    UserId,
    outcome_of,
)

COMPARED_FIELDS = ("clerk_updated_at", *CONTENT_FIELDS)
"""What must be equal on both sides. When it was seen need not be."""


class DriftKind(StrEnum):
    MISSING = "missing"
    """At Clerk, and not here."""
    DIFFERING = "differing"
    """On both sides, and Clerk's is as new as ours or newer."""
    DELETED = "deleted"
    """Live here, and no longer at Clerk."""
    AHEAD = "ahead"
    """Ours claims to be newer than Clerk's own: the join will not take that back."""
    TOMBSTONED = "tombstoned"
    """A tombstone here, and live at Clerk: there is no way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One user on whom the two sides disagree."""

    kind: DriftKind
    clerk_id: UserId
    here: LocalUser | DeletedUser | None = None
    at_clerk: User | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that differ, where both sides have the user."""
        if not isinstance(self.here, LocalUser) or self.at_clerk is None:
            return ()
        return differing_fields(self.here, self.at_clerk)

    @property
    def expected(self) -> Outcome:
        """What its repair would answer."""
        if self.at_clerk is None:
            return Outcome.DELETED
        return outcome_of(self.here, self.at_clerk)


def compare(here: LocalUser | DeletedUser | None, at_clerk: User) -> Drift | None:
    """The drift, or None where both sides agree."""
    kind = _kind(here, at_clerk)
    if kind is None:
        return None
    return Drift(kind=kind, clerk_id=at_clerk.clerk_id, here=here, at_clerk=at_clerk)


def differing_fields(here: User, at_clerk: User) -> tuple[str, ...]:
    return tuple(name for name in COMPARED_FIELDS if getattr(here, name) != getattr(at_clerk, name))


def _kind(here: LocalUser | DeletedUser | None, at_clerk: User) -> DriftKind | None:
    if here is None:
        return DriftKind.MISSING
    if isinstance(here, DeletedUser):
        return DriftKind.TOMBSTONED
    if not differing_fields(here, at_clerk):
        return None
    newer = here.clerk_updated_at > at_clerk.clerk_updated_at
    return DriftKind.AHEAD if newer else DriftKind.DIFFERING
