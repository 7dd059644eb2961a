"""What the journal remembers of one arrival, and how to ask for some of its entries."""

from dataclasses import dataclass
from datetime import datetime

from domain.user import Outcome, Source, UserId

QUARANTINED = "quarantined"
"""The outcome of a verified delivery that could not be applied."""

JOURNAL_OUTCOMES = frozenset({*(outcome.value for outcome in Outcome), QUARANTINED})
"""Every outcome an entry may have."""

PAGE_SIZE = 50
"""Entries on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A verified delivery, or an observation from elsewhere that changed a user.

    `occurred_at` is when it happened at Clerk, `received_at` when we first saw it and
    `last_received_at` when Svix last sent it, for the `deliveries`-th time. `clerk_updated_at` is
    the version observed, `stored_updated_at` the version it was compared with. `body` is None when
    its retention is over, and from the moment the user is deleted.
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
    """Which journal entries are wanted; an empty query wants all of them.

    `error` is the reason kept of a quarantined delivery. `since` (inclusive) and `until`
    (exclusive) are about when we first saw an entry. Without a `limit` all are wanted, or one page.
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

    A search stops after a bounded number of entries; `looked_back_to` is then the time of the
    oldest entry it looked at.
    """

    entries: tuple[JournalEntry, ...]
    older: int | None = None
    looked_back_to: datetime | None = None
