"""The command `SyncUser`, its result, and the deliveries that bring it.

Webhook, request, backfill, replay and reconcile all send this one command to
`UserRepository.sync`, which takes the greater of the stored and the observed state. It may be sent
twice, late or at the same time: the stored state ends the same.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from domain.errors import Unstorable
from domain.user import Outcome, Source, UserChange, UserId

DELETION = "user.deleted"

FOLLOWED_EVENTS = ("user.created", "user.updated", DELETION)
"""The types of Clerk's events that are applied; all others are ignored."""

SVIX_ID = r"[A-Za-z0-9_-]{1,128}"
SVIX_TIMESTAMP = r"[0-9]{10}"
SVIX_SIGNATURE = r"[ -~]{1,2048}"
"""The shapes of the three headers of a delivery, as regular expressions."""

_SVIX_ID = re.compile(SVIX_ID, re.ASCII)


def is_svix_id(unverified: object) -> bool:
    """Whether a value has the shape of a `svix-id`."""
    return isinstance(unverified, str) and _SVIX_ID.fullmatch(unverified) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """What the journal keeps of one verified webhook delivery.

    `svix_id` identifies the message and stays the same when it is redelivered. `occurred_at` is the
    envelope's `timestamp`. `body` is the envelope as JSON, without the parts that are not stored.
    """

    svix_id: str
    event_type: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncUser:
    """The command: one observation of one user, and the delivery that brought it, if any.

    `traceparent` is the place in a trace, as of W3C Trace Context; None unless it is recorded.
    """

    change: UserChange
    source: Source
    delivery: DeliveryRecord | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What the command did; it is committed already.

    `deliveries` counts how often this svix id has arrived; 0 if there was no delivery.
    `conflicting` means that another delivery has arrived under the same svix id: this one is
    journaled under the id that `apart` gives.
    """

    outcome: Outcome
    deliveries: int = 0
    conflicting: bool = False


def word_for(result: SyncResult | None) -> str:
    """The outcome of one command of `sync_many`, or `failed` for an unstorable one."""
    return result.outcome if result else "failed"


def second_svix_id(svix_id: str, body: bytes) -> str:
    """The id to journal a delivery under if its svix id is already another delivery's.

    It depends on the body, so a redelivery gets the same id and no second entry.
    """
    return f"{svix_id[:100]}_{sha256(body).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableDelivery:
    """A verified delivery that cannot be applied. It is quarantined with its bytes, for a replay.

    `reason` is our own text, never text from the payload.
    """

    svix_id: str
    body: bytes
    reason: str
    event_type: str | None = None
    clerk_id: UserId | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredDelivery:
    """A verified delivery of an event type that is not followed, or of another Clerk instance."""

    svix_id: str
    event_type: str
    reason: str

    @property
    def clerk_id(self) -> None:
        """None: an ignored delivery is not parsed as far as its user."""
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedDelivery:
    """A verified delivery that is an observation: the command, and the record for the journal."""

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

    def unstorable(self, unverified_body: bytes, error: Unstorable) -> UnreadableDelivery:
        """This delivery as an unreadable one: the store refused it."""
        return UnreadableDelivery(
            svix_id=self.svix_id,
            body=unverified_body,
            reason=error.reason,
            event_type=self.event_type,
            clerk_id=self.clerk_id,
            occurred_at=self.record.occurred_at,
        )


def followed(record: DeliveryRecord, change: UserChange, source: Source) -> FollowedDelivery:
    """A delivery with the command to apply `change`; `record` goes to the journal."""
    command = SyncUser(change=change, source=source, delivery=record)
    return FollowedDelivery(record=record, command=command)


VerifiedDelivery = FollowedDelivery | UnreadableDelivery | IgnoredDelivery
