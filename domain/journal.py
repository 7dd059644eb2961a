"""The entries of the journal, and queries that select some of them."""

from dataclasses import dataclass
from datetime import datetime

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
