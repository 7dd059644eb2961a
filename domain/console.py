"""What the console shows, and the audit trail of what operators did: values and ports."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.user import Source, UserId

ACTIONS_ON_A_PAGE = 50
"""Rows of the audit trail."""

USERS_ON_A_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What arrived within one step of time. Lags are from Clerk's time of the event to our own."""

    start: datetime
    outcomes: Mapping[str, int] = field(default_factory=dict)
    lag_p50: timedelta | None = None
    lag_p99: timedelta | None = None

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What arrived lately, in equal steps of time, empty ones included.

    `created_by` counts the users created, by the source that created them. `sampled` is set where
    more arrived than is counted one by one: then the numbers are estimates from a sample.
    """

    step: timedelta
    buckets: tuple[Bucket, ...]
    created_by: Mapping[Source, int] = field(default_factory=dict)
    sampled: bool = False

    @property
    def just_in_time_share(self) -> float | None:
        """The share of users that were created just in time; None if no user was created."""
        created = sum(self.created_by.values())
        return self.created_by.get(Source.JIT, 0) / created if created else None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineGroup:
    """Deliveries that could not be applied, for one and the same reason."""

    error: str
    deliveries: int
    event_types: tuple[str, ...]
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUser:
    """A row of our table, live or a tombstone, with our own bookkeeping."""

    id: UUID
    clerk_id: UserId
    email: str | None
    first_name: str | None
    last_name: str | None
    external_id: str | None
    banned: bool
    locked: bool
    deleted_at: datetime | None
    created_at: datetime
    last_synced_at: datetime
    synced_by: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDrift:
    """A user whom a comparison listed at `moment`, by the store's clock.

    `observed_at` is the row's own of that time, by Clerk's clock; None without a live row.
    `is_deleted` is set if the user was no longer at Clerk.
    """

    clerk_id: str
    moment: datetime
    observed_at: datetime | None
    is_deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows there are, tombstones included: estimates, None before the store has one.

    `users` is exact below 1,000, and `any_entries` and `any_users` (live ones) always.
    """

    users: int | None
    entries: int | None
    any_entries: bool
    any_users: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction:
    """One action: the operator (`who`), what it was done to, when, and its result.

    `result` is None while the action runs.
    """

    id: int
    started_at: datetime
    ended_at: datetime | None
    who: str
    action: str
    target: str | None
    detail: Mapping[str, Any]
    result: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSession:
    """A sign-in at the console. `key` is the hash of the secret in its cookie.

    `ground` is the permission that it rests on, as the console names it. `user_id` and
    `clerk_session_id` are set if a Clerk session was its ground. `confirmed_ago` is how long ago,
    by the store's clock, the Clerk session last proved to be good.
    """

    key: bytes
    ground: str
    user_id: UserId | None = None
    clerk_session_id: str | None = None
    confirmed_ago: timedelta = timedelta(0)


class ConsoleSessions(Protocol):
    """The sign-ins that have not ended. Each method raises `StorageUnavailable`."""

    async def open(self, session: ConsoleSession, lifetime: timedelta) -> None:
        """Keep a new sign-in for that long, confirmed as long ago as it says."""
        ...

    async def find(self, key: bytes) -> ConsoleSession | None:
        """The sign-in, or None if it has ended or expired."""
        ...

    async def confirm(self, key: bytes, ago: timedelta) -> None:
        """Its Clerk session was good that long ago."""
        ...

    async def end(self, key: bytes) -> None:
        """End that sign-in, if there is one."""
        ...

    async def end_all_of(self, user_id: UserId) -> None:
        """End every sign-in of one Clerk user."""
        ...


class ClerkSessions(Protocol):
    """Clerk's sessions and roles. Each method raises `IdentityProviderUnavailable`."""

    async def is_active(self, session_id: str, user_id: UserId) -> bool:
        """Whether that session is active, and of that user."""
        ...

    async def has_role(self, user_id: UserId, organisation: str, role: str) -> bool:
        """Whether the user has that role (without `org:`) in that organisation."""
        ...


class ConsoleReads(Protocol):
    """The store as the console reads it. Every answer is bounded, however much is stored.

    Each method raises `StorageUnavailable`.
    """

    async def activity(self, *, steps: int, step: timedelta, until: datetime) -> Activity:
        """The last `steps` steps of time; the last one ends at `until`."""
        ...

    async def quarantine_groups(self) -> tuple[QuarantineGroup, ...]:
        """The quarantine by cause, the largest group first."""
        ...

    async def find_users(self, text: str) -> tuple[FoundUser, ...]:
        """The users with exactly that Clerk id, own id, external id or any e-mail address."""
        ...

    async def users_like(self, prefix: str) -> tuple[FoundUser, ...]:
        """Users whose e-mail address, first or last name begins with it, ignoring case."""
        ...

    async def newest_users(self) -> tuple[FoundUser, ...]:
        """The users whose rows were made last, the newest first."""
        ...

    async def names_of(self, user_ids: Collection[str]) -> Mapping[str, str]:
        """The name, or else the e-mail address, of each user that has one, by Clerk id."""
        ...

    async def changed_since(self, listed: Collection[ListedDrift]) -> frozenset[str]:
        """The users whose rows have changed, or were seen anew at Clerk, since they were listed.

        Of users who were no longer at Clerk, those that are tombstones: what arrives late about
        them changes a row, and does not settle it.
        """
        ...

    async def sizes(self) -> Sizes:
        """How many rows there are, roughly."""
        ...


class AuditTrail(Protocol):
    """What operators did. Each method raises `StorageUnavailable`."""

    async def begin(
        self, *, who: str, action: str, target: str | None, detail: Mapping[str, Any]
    ) -> int:
        """Write the action before it begins; committed when it returns. The action's id."""
        ...

    async def progress(self, action_id: int, detail: Mapping[str, Any]) -> None:
        """Replace the details of an action that runs."""
        ...

    async def end(self, action_id: int, *, result: str, detail: Mapping[str, Any]) -> None:
        """Write the result of an action."""
        ...

    async def latest(self, *, before: int | None = None) -> tuple[OperatorAction, ...]:
        """A page of actions older than the id `before`, the newest first."""
        ...

    async def last_of(self, *actions: str) -> OperatorAction | None:
        """The newest action with one of these names."""
        ...

    async def about(self, target: str) -> tuple[OperatorAction, ...]:
        """The latest actions on a user or a delivery, the newest first."""
        ...
