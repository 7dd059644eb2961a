"""The journal: its entries, queries that select some of them, and its ports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.sync_user import UnreadableDelivery
from domain.user import Outcome, Source, UserId

QUARANTINED = "quarantined"
"""The outcome of a verified delivery that could not be applied."""

DISMISSED = "dismissed"
"""The outcome of a quarantined delivery that an operator has given up."""

JOURNAL_OUTCOMES = frozenset({*(outcome.value for outcome in Outcome), QUARANTINED, DISMISSED})
"""Every outcome that an entry can have."""

PAGE_SIZE = 50
"""Entries on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A verified delivery, or an observation from elsewhere that changed a user.

    `occurred_at` is when it happened at Clerk, `received_at` when it first arrived here,
    `last_received_at` when it last arrived and `deliveries` how often. `clerk_updated_at` is the
    version observed, `stored_updated_at` the version it was compared with. `body` is None after
    its retention period, and as soon as the user is deleted.
    """

    id: int
    source: Source
    outcome: str
    received_at: datetime
    last_received_at: datetime
    deliveries: int = 1
    svix_id: str | None = None
    event_type: str | None = None
    clerk_id: UserId | None = None
    occurred_at: datetime | None = None
    error: str | None = None
    clerk_updated_at: datetime | None = None
    stored_updated_at: datetime | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalQuery:
    """Selects journal entries; an empty query selects all of them.

    `error` is the reason for which a delivery was quarantined. `since` (inclusive) and `until`
    (exclusive) bound `received_at`. Without a `limit`, `Journal.deliveries` gives all entries and
    `JournalPages.page` gives `PAGE_SIZE`.
    """

    outcomes: frozenset[str] = frozenset()
    event_types: frozenset[str] = frozenset()
    source: Source | None = None
    user_id: UserId | None = None
    svix_id: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """Entries without their bodies, the newest first. `older` is the cursor of the next page.

    A search reads a bounded number of entries. If it stopped at the bound, `looked_back_to` is the
    time of the oldest entry that it read.
    """

    entries: tuple[JournalEntry, ...]
    older: int | None = None
    looked_back_to: datetime | None = None


class Journal(Protocol):
    """What arrived and what its outcome was.

    Each method raises `StorageUnavailable`.
    """

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        """Keep a delivery that could not be applied."""
        ...

    async def quarantined(self) -> int:
        """How many deliveries are in quarantine."""
        ...

    async def dismiss(self, query: JournalQuery) -> int:
        """Dismiss the selected deliveries that are in quarantine; returns how many."""
        ...

    async def count(self, query: JournalQuery) -> int:
        """How many verified deliveries `deliveries` would give."""
        ...

    def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        """The verified deliveries selected, with their bodies, oldest first, read page by page."""
        ...

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        """Everything kept about one user, oldest first, without bodies."""
        ...


class JournalPages(Protocol):
    """The journal as the console reads it. Each method raises `StorageUnavailable`."""

    async def page(self, query: JournalQuery, before: int | None = None) -> EntryPage:
        """Entries with an id below `before`, the newest first; reads a bounded number."""
        ...

    async def entry(self, entry_id: int) -> JournalEntry | None:
        """One entry, with its body."""
        ...


class JournalRetention(Protocol):
    """Deletes what the journal no longer keeps. Ages are by the store's clock, never the host's.

    Each method raises `StorageUnavailable`.
    """

    async def expire_bodies(self, older_than: timedelta, limit: int) -> int:
        """Erase up to `limit` bodies of that age; returns how many."""
        ...

    async def expire_entries(self, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` entries of that age; returns how many."""
        ...

    async def expired(self, bodies: timedelta, entries: timedelta) -> tuple[int, int]:
        """How many bodies and how many entries are due."""
        ...

    async def erase_bodies(self, user_id: UserId) -> int:
        """Erase all bodies of one user, however new; returns how many."""
        ...

    async def bodies_of(self, user_id: UserId) -> int:
        """How many bodies of one user are kept."""
        ...


class DeliveryWatch(Protocol):
    """Whether webhooks still arrive.

    Each method raises `StorageUnavailable`.
    """

    async def silent_users(self, after: timedelta) -> int:
        """How many new users were created just in time within the last day, at least `after` ago
        and after the last webhook in the journal, and have had no `user.created`.
        """
        ...

    async def last_delivery_at(self) -> datetime | None:
        """When the last delivery arrived, by this host's clock. None if the latest thousands of
        entries have none.
        """
        ...
