"""What an operator looks at, and the trail of what they did. Values and ports; it only reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.journal import JournalEntry
from domain.user import Source, UserId

PAGE = 50
"""Rows on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """Which journal entries are wanted, the newest first; nothing given is all of them.

    `before` is the id of the last entry on the page before. `since` (inclusive) and `until`
    (exclusive) are about when we first saw an entry.
    """

    outcome: str | None = None
    event_type: str | None = None
    source: Source | None = None
    user_id: UserId | None = None
    svix_id: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """Entries without their bodies. `older` is the cursor of the next page, if there may be one.

    A search stops after a bounded number of entries; `looked_back_to` then says how far it came.
    """

    entries: tuple[JournalEntry, ...]
    older: int | None = None
    looked_back_to: datetime | None = None


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

    `created_by` counts the users created, by the source that was first. `sampled` is set where
    more arrived than is worth counting: then the numbers are estimates, from all over that time.
    """

    step: timedelta
    buckets: tuple[Bucket, ...]
    created_by: Mapping[Source, int] = field(default_factory=dict)
    sampled: bool = False

    @property
    def just_in_time_share(self) -> float | None:
        """Of the users created meanwhile; None if there were none."""
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
    deleted_at: datetime | None
    created_at: datetime
    last_synced_at: datetime
    synced_by: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows there are, about: the store's own estimates. None where it has none yet.

    Whether there is any entry at all is known exactly.
    """

    users: int | None
    entries: int | None
    any_entries: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction:
    """Who did what, to whom, when, and what came of it. `result` is None until it has ended."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    who: str
    action: str
    target: str | None
    detail: Mapping[str, Any]
    result: str | None


class ConsoleReads(Protocol):
    """The store as the console reads it: every answer is bounded, however much is stored.

    Each method raises `StorageUnavailable`.
    """

    async def entries(self, query: EntryQuery) -> EntryPage:
        """A page of the journal, the newest first."""
        ...

    async def entry(self, entry_id: int) -> JournalEntry | None:
        """One entry, with its body."""
        ...

    async def activity(self, *, steps: int, step: timedelta, until: datetime) -> Activity:
        """The last `steps` steps of time, the last of them ending at `until`."""
        ...

    async def last_delivery_at(self) -> datetime | None:
        """When the last delivery came; None too where it is lost among later observations."""
        ...

    async def quarantine_groups(self) -> tuple[QuarantineGroup, ...]:
        """The quarantine by cause, the fullest first."""
        ...

    async def find_users(self, text: str) -> tuple[FoundUser, ...]:
        """Whose Clerk id, own id, e-mail address or external id is exactly that."""
        ...

    async def sizes(self) -> Sizes:
        """How much there is, about."""
        ...


class AuditTrail(Protocol):
    """What operators did. Each method raises `StorageUnavailable`."""

    async def begin(
        self, *, who: str, action: str, target: str | None, detail: Mapping[str, Any]
    ) -> int:
        """Write that it begins, before it does; committed when it returns. The action's id."""
        ...

    async def progress(self, action_id: int, detail: Mapping[str, Any]) -> None:
        """Replace the details of one under way."""
        ...

    async def end(self, action_id: int, *, result: str, detail: Mapping[str, Any]) -> None:
        """Write what came of it."""
        ...

    async def latest(self, *, before: int | None = None) -> tuple[OperatorAction, ...]:
        """A page of them, the newest first, older than the id `before`."""
        ...

    async def last_of(self, *actions: str) -> OperatorAction | None:
        """The newest that is one of these."""
        ...

    async def about(self, target: str) -> tuple[OperatorAction, ...]:
        """The latest of what was done to a user, or with a delivery; the newest first."""
        ...
