"""What comes in, and what came of it."""

from dataclasses import dataclass
from datetime import datetime

from domain.user import Outcome, Source, UserChange, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """What the journal keeps of one verified webhook delivery.

    `svix_id` names the message and stays the same when it is redelivered. `occurred_at` is the
    envelope's own time. `body` is the envelope as JSON, already without what must not be stored.
    """

    svix_id: str
    event_type: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncUser:
    """The command: one observation of one user, and the delivery it came in, if it did."""

    change: UserChange
    source: Source
    delivery: DeliveryRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What the command did; committed when you hold it.

    `deliveries` counts how often this svix id arrived, 0 when there was no delivery.
    `conflicting` says that an earlier delivery under the same svix id carried another body: the
    journal keeps the first.
    """

    outcome: Outcome
    deliveries: int = 0
    conflicting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableDelivery:
    """Verified, and still not something we can store: poison. Kept with its bytes for a replay.

    `reason` is one of our own words, never text from the payload.
    """

    svix_id: str
    body: bytes
    reason: str
    event_type: str | None = None
    clerk_id: UserId | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredDelivery:
    """Verified, and not ours to follow: another event type, or another Clerk instance."""

    svix_id: str
    event_type: str
    reason: str


VerifiedDelivery = SyncUser | UnreadableDelivery | IgnoredDelivery
