"""The ordering rule: a user is a join.

    no record  <  User(clerk_updated_at, observed_at, digest)  <  DeletedUser

`join` takes the greater of two states. It is commutative, associative and idempotent, which is
why duplicates, reordering, races and replays cannot matter. `adapters/postgres/statements.py`
restates this rule once in SQL; one contract suite holds the two together.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from json import JSONEncoder
from operator import attrgetter
from typing import Any, NewType
from uuid import UUID

UserId = NewType("UserId", str)
"""A Clerk user id that has the shape of one: safe in a path, a log line and a query."""

_USER_ID = re.compile(r"user_[A-Za-z0-9]{1,120}", re.ASCII)


def parse_user_id(unverified: object) -> UserId:
    """Clerk's `user_…` ids; `ValueError` for anything else."""
    if isinstance(unverified, str) and _USER_ID.fullmatch(unverified):
        return UserId(unverified)
    raise ValueError("not a Clerk user id")


class Source(StrEnum):
    """Where an observation came from."""

    WEBHOOK = "webhook"
    JIT = "jit"
    BACKFILL = "backfill"
    REPLAY = "replay"
    RECONCILE = "reconcile"


@dataclass(frozen=True, kw_only=True)
class User:
    """How a user looked at Clerk, at one version. Times are aware and exact to the millisecond.

    `clerk_updated_at` is Clerk's own. `observed_at` is when this was seen, on Clerk's clock too;
    it settles ties. `email` and `phone_number` are the primary ones or None. `banned` includes
    directory deprovisioning. Fields bear the names of the columns they are kept in.
    """

    clerk_id: UserId
    clerk_updated_at: datetime
    observed_at: datetime
    clerk_created_at: datetime | None = None
    email: str | None = None
    email_verified: bool = False
    phone_number: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    image_url: str | None = None
    external_id: str | None = None
    public_metadata: Mapping[str, Any] = field(default_factory=dict)
    banned: bool = False

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that differ when the contents differ: the last resort of a total order."""
        return hashlib.blake2b(_canonical(contents_of(self)).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedUser:
    """A tombstone: the id and when Clerk deleted it. Nothing personal, and no way back."""

    clerk_id: UserId
    deleted_at: datetime


@dataclass(frozen=True, kw_only=True)
class LocalUser(User):
    """A live row of our own table: the user, our id and our bookkeeping."""

    id: UUID
    synced_by: Source
    created_at: datetime
    last_synced_at: datetime


CONTENT_FIELDS = tuple(
    content.name
    for content in fields(User)
    if content.name not in {"clerk_id", "clerk_updated_at", "observed_at"}
)
"""What a user looks like, as opposed to who it is and when it was seen."""

contents_of: Callable[[User], tuple[Any, ...]] = attrgetter(*CONTENT_FIELDS)
"""The values of these fields, in their order."""

UserChange = User | DeletedUser
"""What one observation says."""

UserState = User | DeletedUser | None
"""What is known so far; None is no record."""


class Outcome(StrEnum):
    """What an observation did to the stored state."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    DELETED = "deleted"
    GONE = "gone"

    @property
    def changed_state(self) -> bool:
        return self in (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED)


def join(stored: UserState, observed: UserChange) -> UserChange:
    """The greater of the two."""
    if stored is None or supersedes(observed, stored):
        return observed
    return stored


def supersedes(observed: UserChange, stored: UserChange) -> bool:
    """Whether `observed` is the greater. Of two tombstones the earlier: it is nearer the truth."""
    if isinstance(observed, DeletedUser):
        return not isinstance(stored, DeletedUser) or observed.deleted_at < stored.deleted_at
    if isinstance(stored, DeletedUser):
        return False
    return _version(observed) > _version(stored)


def outcome_of(stored: UserState, observed: UserChange) -> Outcome:
    """What taking the greater means for the stored state.

    `UNCHANGED` is what we had already. It may still raise `observed_at` (the same contents, seen
    again later) or bring a tombstone's time forward; only the rule itself ever reads those.
    """
    if isinstance(observed, DeletedUser):
        return Outcome.UNCHANGED if isinstance(stored, DeletedUser) else Outcome.DELETED
    if stored is None:
        return Outcome.CREATED
    if isinstance(stored, DeletedUser):
        return Outcome.GONE
    if _same(observed, stored):
        return Outcome.UNCHANGED
    return Outcome.UPDATED if supersedes(observed, stored) else Outcome.STALE


def _version(user: User) -> tuple[datetime, datetime, bytes]:
    return (user.clerk_updated_at, user.observed_at, user.digest)


def _same(observed: User, stored: User) -> bool:
    return (observed.clerk_updated_at, observed.digest) == (stored.clerk_updated_at, stored.digest)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no plain form for {type(value).__name__}")


_canonical = JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode
"""The same text for the same contents, whatever the order of the keys in metadata."""
