"""The ordering rule: a user is a join.

    no record  <  User(clerk_updated_at, observed_at, digest, activity)  <  DeletedUser

`join` takes the greater of two states. It is commutative, associative and idempotent, so
duplicates, reordering, races and replays do not matter. `adapters/postgres/statements.py` restates
this rule once in SQL; one contract suite tests that both are the same.

A field of a user is stated here and in `adapters/clerk/translate/user.py`. The columns, the digest,
`/v1/me` and the empty columns of a tombstone are derived from the class `User`. A new field also
needs a migration and the next `DIGEST_FORMAT`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from json import JSONEncoder
from operator import attrgetter
from typing import Any, NewType
from uuid import UUID

UserId = NewType("UserId", str)
"""A Clerk user id whose shape was checked: safe in a path, a log line and a query."""

USER_ID = r"user_[A-Za-z0-9]{1,120}"
"""The shape of a Clerk user id, as a regular expression."""

_USER_ID = re.compile(USER_ID, re.ASCII)

DIGEST_FORMAT = 0xF1
"""The number of the set of fields that a digest covers: its first byte.

A release that keeps one more field raises it, so its reading of a version is greater than an older
release's reading of the same version, and both releases agree on that. The count begins at 0xF1
because the digests of release 1.0 have no format byte: their first byte is random, hence smaller
in 15 of 16 cases. Where such a digest is read back it counts as format 0.
"""


def parse_user_id(unverified: object) -> UserId:
    """The same value, if it is a Clerk user id. Raises `ValueError` for anything else."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailAddress:
    """One of a user's addresses, and whether Clerk has verified it."""

    address: str
    verified: bool
    primary: bool


@dataclass(frozen=True, kw_only=True)
class User:
    """A user at Clerk, at one version. Times have a time zone and are exact to the millisecond.

    `clerk_updated_at` is Clerk's `updated_at`. `observed_at` is when this was seen, on Clerk's
    clock too; it settles ties. `email` and `phone_number` are the primary ones or None;
    `email_addresses` are all of them, in Clerk's order. `banned` includes users that a directory
    deprovisioned. `locked` denies nothing: anybody can cause it by guessing passwords.
    `last_sign_in_at` is kept with the newest version, but a change of it alone is not an `updated`.
    Each field has the name of its column.
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
    email_addresses: tuple[EmailAddress, ...] = ()
    two_factor_enabled: bool = False
    locked: bool = False
    legal_accepted_at: datetime | None = None
    last_sign_in_at: datetime | None = None

    @cached_property
    def digest(self) -> bytes:
        """17 bytes: the format, then a hash that differs when the contents differ."""
        values = [value if type(value) in _PLAIN else _plain(value) for value in contents_of(self)]
        text = repr(values)
        return _FORMAT + hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedUser:
    """A tombstone: the id and the time of the deletion. Nothing personal, and permanent."""

    clerk_id: UserId
    deleted_at: datetime


@dataclass(frozen=True, kw_only=True)
class LocalUser(User):
    """A live row of our `users` table: the user, our own id and our bookkeeping."""

    id: UUID
    synced_by: Source
    created_at: datetime
    last_synced_at: datetime


LocalRecord = LocalUser | DeletedUser
"""A row of our `users` table."""


OBSERVATION_FIELDS = ("clerk_id", "clerk_updated_at", "observed_at")
"""The user's id, and the times that order observations."""

ACTIVITY_FIELDS = ("last_sign_in_at",)
"""Fields that change by using the application. They settle ties, and are not contents."""

KEPT_FIELDS = tuple(kept.name for kept in fields(User) if kept.name not in OBSERVATION_FIELDS)
"""All fields but `OBSERVATION_FIELDS`."""

CONTENT_FIELDS = tuple(name for name in KEPT_FIELDS if name not in ACTIVITY_FIELDS)
"""The contents of a user: a change of one is `updated`. The digest covers exactly these fields."""

contents_of: Callable[[User], tuple[Any, ...]] = attrgetter(*CONTENT_FIELDS)
"""The values of `CONTENT_FIELDS`, in their order."""

UserChange = User | DeletedUser
"""What one observation says about a user."""

UserState = User | DeletedUser | None
"""What is stored about a user; None is no record."""


LEAST_VERSION = datetime(1970, 1, 1, tzinfo=UTC)
"""The `clerk_updated_at` and `observed_at` of a row whose version was withdrawn."""


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
    """Whether `observed` is the greater of the two. Of two tombstones the earlier is the greater:
    Clerk's time of a deletion is earlier than the time at which reconcile noticed it.
    """
    if isinstance(observed, DeletedUser):
        return not isinstance(stored, DeletedUser) or observed.deleted_at < stored.deleted_at
    if isinstance(stored, DeletedUser):
        return False
    return _version(observed) > _version(stored)


def outcome_of(stored: UserState, observed: UserChange) -> Outcome:
    """The outcome of taking the greater.

    `UNCHANGED` means the same contents. It may still raise the version and the activity (the same
    contents, seen later), or move a tombstone's time to an earlier one.
    """
    if isinstance(observed, DeletedUser):
        return Outcome.UNCHANGED if isinstance(stored, DeletedUser) else Outcome.DELETED
    if stored is None:
        return Outcome.CREATED
    if isinstance(stored, DeletedUser):
        return Outcome.GONE
    if observed.digest == stored.digest and observed.clerk_updated_at >= stored.clerk_updated_at:
        return Outcome.UNCHANGED
    return Outcome.UPDATED if supersedes(observed, stored) else Outcome.STALE


def differing(names: Iterable[str], one: User, other: User) -> tuple[str, ...]:
    """The names of those fields that differ."""
    return tuple(name for name in names if not is_same(getattr(one, name), getattr(other, name)))


def is_same(one: object, other: object) -> bool:
    """Whether both are equal. Metadata is compared as JSON: in Python 1 equals True and 1.0."""
    return _plain(one) == _plain(other)


def _version(user: User) -> tuple[Any, ...]:
    activity = (getattr(user, name) for name in ACTIVITY_FIELDS)
    # None is less than any time, as `-infinity` is in SQL.
    known = ((moment is not None, moment) for moment in activity)
    return (user.clerk_updated_at, user.observed_at, user.digest, *known)


def _plain(value: Any) -> object:
    """A form that is equal for equal values, whatever their time zone or order of keys."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is datetime:
        return value.timestamp()
    if kind is tuple:
        return [_address_parts(address) for address in value]
    if isinstance(value, Mapping):
        return _sorted_json(value)
    return value


_PLAIN = (str, bool, type(None))

_FORMAT = bytes([DIGEST_FORMAT])

_address_parts = attrgetter(*(part.name for part in fields(EmailAddress)))


def _sorted_json(value: Mapping[str, Any]) -> str:
    return _encode(dict(value)) if value else ""


def _as_dict(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no plain form for {type(value).__name__}")


_encode = JSONEncoder(sort_keys=True, separators=(",", ":"), default=_as_dict).encode
