"""The command `SyncUser`, its result, and the deliveries that bring it.

Webhook, request, backfill, replay and reconcile all send this one command to
`UserRepository.sync`, which takes the greater of the stored and the observed state. It may be sent
twice, late or at once: the stored state ends the same.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from domain.user import Outcome, Source, UserChange, UserId

FOLLOWED_EVENTS = ("user.created", "user.updated", "user.deleted")
"""Clerk's events that tell of a user. The last one is a deletion."""

DELETION = "user.deleted"

SVIX_ID = r"[A-Za-z0-9_-]{1,128}"
"""The shape of a `svix-id`, as a regular expression."""

_SVIX_ID = re.compile(SVIX_ID, re.ASCII)


def is_svix_id(unverified: object) -> bool:
    """Whether a value has the shape of a `svix-id`."""
    return isinstance(unverified, str) and _SVIX_ID.fullmatch(unverified) is not None


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
    """What the command did; it is committed when you hold this.

    `deliveries` counts how often this svix id arrived, 0 when there was no delivery.
    `conflicting` says that an earlier delivery under the same svix id carried another body: the
    journal keeps the first.
    """

    outcome: Outcome
    deliveries: int = 0
    conflicting: bool = False


def word_for(result: SyncResult | None) -> str:
    """The outcome of one command of many, or `failed`."""
    return result.outcome if result else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableDelivery:
    """Verified, but nothing that can be stored: poison. Kept with its bytes for a replay.

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

    @property
    def clerk_id(self) -> None:
        """What is ignored is not read as far as its user."""
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedDelivery:
    """Verified, and an observation of a user: the command, and the record it brings along."""

    record: DeliveryRecord
    command: SyncUser

    @property
    def svix_id(self) -> str:
        return self.record.svix_id

    @property
    def event_type(self) -> str:
        return self.record.event_type

    @property
    def clerk_id(self) -> UserId:
        return self.command.change.clerk_id

    def unstorable(self, unverified_body: bytes, reason: str) -> UnreadableDelivery:
        """The same as poison, where the store refuses it. `reason` is the store's."""
        return UnreadableDelivery(
            svix_id=self.svix_id,
            body=unverified_body,
            reason=f"unstorable: {reason}",
            event_type=self.event_type,
            clerk_id=self.clerk_id,
            occurred_at=self.record.occurred_at,
        )


def followed(record: DeliveryRecord, change: UserChange, source: Source) -> FollowedDelivery:
    """The delivery of `record`, as the command to apply `change`."""
    command = SyncUser(change=change, source=source, delivery=record)
    return FollowedDelivery(record=record, command=command)


VerifiedDelivery = FollowedDelivery | UnreadableDelivery | IgnoredDelivery
