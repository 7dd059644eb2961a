"""Drift: users that differ between our table and Clerk, and the results of a comparison."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.ports import Checkpoints, LeftOut
from domain.user import (
    CONTENT_FIELDS,
    DeletedUser,
    LocalUser,
    Outcome,
    User,
    UserId,
    differing,
    outcome_of,
)

COMPARED_FIELDS = ("clerk_updated_at", *CONTENT_FIELDS)
"""The fields that must be equal on both sides. `observed_at` and activity may differ."""

LAST_SWEEP = "reconcile.last_sweep"
"""The checkpoint that holds the result of the last full comparison."""

UNREADABLE = "unreadable"
"""The word in a sweep's `found` for users whom Clerk has in a form that cannot be kept.

Of them nothing is known, so it is no kind of drift, and no repair ends it. It is not a field of its
own, because a replica of an older release reads the sweep too, and knows only its own fields.
"""


class DriftKind(StrEnum):
    MISSING = "missing"
    """The user is at Clerk and not in our table."""
    DIFFERING = "differing"
    """Fields differ, and Clerk's version is as new as ours or newer."""
    DELETED = "deleted"
    """The row is live and the user is no longer at Clerk."""
    AHEAD = "ahead"
    """Our version is newer than Clerk's. No repair: the join keeps the newer one."""
    TOMBSTONED = "tombstoned"
    """Our row is a tombstone and the user is at Clerk. No repair: a tombstone stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One user that differs between our table (`here`) and Clerk."""

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
        """The outcome that a repair would have."""
        if self.at_clerk is None:
            return Outcome.DELETED
        return outcome_of(self.here, self.at_clerk)


@dataclass(slots=True, kw_only=True)
class Findings:
    """What one comparison has found and repaired so far; updated during the run."""

    compared: int = 0
    found: Counter[DriftKind] = field(default_factory=Counter)
    repaired: Counter[DriftKind] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    held_back: int = 0
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many users still differ."""
        return self.found.total() - self.repaired.total()

    def as_sweep(self, ended_at: datetime) -> "Sweep":
        """These findings as the result of a full comparison."""
        found = {kind.value: count for kind, count in self.found.items()}
        if self.left_out:
            found[UNREADABLE] = len(self.left_out)
        return Sweep(
            ended_at=ended_at,
            compared=self.compared,
            found=found,
            repaired={kind.value: count for kind, count in self.repaired.items()},
            held_back=self.held_back,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The result of a full comparison, kept in the store for every replica to read.

    `found` and `repaired` count users by kind of drift, and the `UNREADABLE`. `held_back` counts
    rows that were not tombstoned, because there were more of them than one run may tombstone.
    """

    ended_at: datetime
    compared: int
    found: Mapping[str, int]
    repaired: Mapping[str, int]
    held_back: int = 0

    @property
    def left(self) -> int:
        """How many users still differed when it ended, or could not be read."""
        return sum(self.found.values()) - sum(self.repaired.values())

    @property
    def unreadable(self) -> int:
        """How many of them could not be read."""
        return self.found.get(UNREADABLE, 0)


def is_ahead(here: LocalUser | DeletedUser | None, at_clerk: User | None) -> bool:
    """Whether our row claims a version that Clerk does not have."""
    drift = compare(here, at_clerk) if at_clerk else None
    return drift is not None and drift.kind is DriftKind.AHEAD


def compare(here: LocalUser | DeletedUser | None, at_clerk: User) -> Drift | None:
    """The drift of one user, or None if both sides agree."""
    kind = _kind(here, at_clerk)
    if kind is None:
        return None
    return Drift(kind=kind, clerk_id=at_clerk.clerk_id, here=here, at_clerk=at_clerk)


def differing_fields(here: User, at_clerk: User) -> tuple[str, ...]:
    """The names of the compared fields that differ."""
    return differing(COMPARED_FIELDS, here, at_clerk)


async def save_sweep(checkpoints: Checkpoints, sweep: Sweep) -> None:
    """Keep the sweep as the last one. Raises `StorageUnavailable`."""
    fields = {**asdict(sweep), "ended_at": sweep.ended_at.isoformat()}
    await checkpoints.save(LAST_SWEEP, json.dumps(fields))


async def load_sweep(checkpoints: Checkpoints) -> Sweep | None:
    """The last sweep; None before the first. Raises `StorageUnavailable`."""
    saved = await checkpoints.load(LAST_SWEEP)
    if saved is None:
        return None
    fields = json.loads(saved)
    return Sweep(**{**fields, "ended_at": datetime.fromisoformat(fields["ended_at"])})


def _kind(here: LocalUser | DeletedUser | None, at_clerk: User) -> DriftKind | None:
    if here is None:
        return DriftKind.MISSING
    if isinstance(here, DeletedUser):
        return DriftKind.TOMBSTONED
    if not differing_fields(here, at_clerk):
        return None
    newer = here.clerk_updated_at > at_clerk.clerk_updated_at
    return DriftKind.AHEAD if newer else DriftKind.DIFFERING
