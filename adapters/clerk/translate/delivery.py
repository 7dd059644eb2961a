"""Translate verified deliveries to domain values, when they arrive and again for a replay.

Source: Clerk, "Webhooks overview" (the envelope). An envelope needs `type` and `data.id`; unknown
fields are ignored. A delivery that could not be stored, or has an absurd time, is unreadable.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.clerk.translate.json import (
    YEAR_2015,
    Unreadable,
    json_object,
    moment,
    read_json,
    write_json,
)
from adapters.clerk.translate.user import AHEAD, read_user, user_id
from domain.instance import Instance
from domain.ports import DeliveryReader
from domain.sync_user import (
    DELETION,
    FOLLOWED_EVENTS,
    DeliveryRecord,
    FollowedDelivery,
    IgnoredDelivery,
    UnreadableDelivery,
    VerifiedDelivery,
    followed,
)
from domain.user import USER_ID, DeletedUser, Source, UserChange, UserId, parse_user_id

_SECONDS_BELOW = 100_000_000_000
_LONGEST_EVENT_TYPE = 100
_USER_ID_MEMBER = re.compile(rf'"id"\s*:\s*"({USER_ID})"'.encode())


class ClerkDeliveryReader(DeliveryReader):
    """Translates journaled deliveries with the code of the webhook route, and so with its fixes."""

    def __init__(self, *, instance: Instance) -> None:
        self._instance = instance

    def read(self, body: bytes, *, svix_id: str, sent_at: datetime) -> VerifiedDelivery:
        return read_delivery(
            body,
            svix_id=svix_id,
            sent_at=sent_at,
            instance_id=self._instance.followed,
            source=Source.REPLAY,
        )

    def deletion(self, user_id: UserId, occurred_at: datetime) -> bytes:
        named = {} if self._instance.id is None else {"instance_id": self._instance.id}
        return write_json(
            {
                "data": {"deleted": True, "id": user_id, "object": "user"},
                **named,
                "object": "event",
                "timestamp": round(occurred_at.timestamp() * 1000),
                "type": DELETION,
            }
        )


def read_delivery(
    body: bytes, *, svix_id: str, sent_at: datetime, instance_id: str | None, source: Source
) -> VerifiedDelivery:
    """Translate a verified delivery. `sent_at` is its `svix-timestamp`, which is signed
    too, or for a replay the time at which it arrived.

    The `data` of an event that is not followed, or of an instance other than `instance_id`, is not
    read. A webhook that names no instance is unreadable where one is known; a replay of it, which
    an operator asks for, is not. A delivery that cannot be translated is an `UnreadableDelivery`;
    nothing is raised.
    """
    envelope: Mapping[str, Any] = {}
    try:
        envelope = json_object(read_json(body))
        return _translated(envelope, svix_id, sent_at, instance_id, source)
    except Unreadable as unreadable:
        return _unreadable(envelope, svix_id, body, unreadable.reason)


def envelope_time(unverified: object) -> datetime | None:
    """The envelope's `timestamp`, or None if it has none. Raises `Unreadable` if it is absurd.

    Clerk documents milliseconds; examples sent from its dashboard are in seconds.
    """
    if unverified is None:
        return None
    if isinstance(unverified, int) and unverified < _SECONDS_BELOW:
        unverified *= 1000
    return moment(unverified, YEAR_2015, "timestamp_absurd")


def redacted(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The envelope without the client's address, private metadata and unsafe metadata."""
    kept = dict(envelope)
    kept.pop("event_attributes", None)
    if isinstance(kept.get("data"), dict):
        kept["data"] = data = dict(kept["data"])
        data.pop("private_metadata", None)
        data.pop("unsafe_metadata", None)
    return kept


def _translated(
    envelope: Mapping[str, Any],
    svix_id: str,
    sent_at: datetime,
    instance_id: str | None,
    source: Source,
) -> FollowedDelivery | IgnoredDelivery:
    event_type = envelope.get("type")
    if not isinstance(event_type, str):
        raise Unreadable("no_type")
    if event_type not in FOLLOWED_EVENTS:
        return _ignored(svix_id, event_type, "event_not_followed")
    from_instance = envelope.get("instance_id")
    if instance_id is not None and from_instance not in (None, instance_id):
        return _ignored(svix_id, event_type, "other_instance")
    if instance_id is not None and from_instance is None and source is Source.WEBHOOK:
        raise Unreadable("no_instance_id")
    occurred_at = envelope_time(envelope.get("timestamp"))
    if occurred_at is not None and occurred_at > sent_at + AHEAD:
        raise Unreadable("timestamp_absurd")
    # The user is read before the body is written: a reason of its fields tells more than
    # "not_storable".
    change = _change(event_type, envelope.get("data"), occurred_at, sent_at)
    record = DeliveryRecord(
        svix_id=svix_id,
        event_type=event_type,
        occurred_at=occurred_at or sent_at,
        body=write_json(redacted(envelope)),
    )
    return followed(record, change, source)


def _change(
    event_type: str, data: object, occurred_at: datetime | None, sent_at: datetime
) -> UserChange:
    if data is None:
        raise Unreadable("no_data")
    if event_type == DELETION:
        return DeletedUser(clerk_id=user_id(json_object(data)), deleted_at=occurred_at or sent_at)
    return read_user(data, observed_at=occurred_at, not_after=occurred_at or sent_at)


def _ignored(svix_id: str, event_type: str, reason: str) -> IgnoredDelivery:
    shown = event_type[:_LONGEST_EVENT_TYPE]
    if not shown.isprintable():
        shown = "unprintable"
    return IgnoredDelivery(svix_id=svix_id, event_type=shown, reason=reason)


def _unreadable(
    envelope: Mapping[str, Any], svix_id: str, body: bytes, reason: str
) -> UnreadableDelivery:
    """The unreadable delivery, with its user if it can be read: an erasure finds the body by it."""
    event_type = envelope.get("type")
    try:
        occurred_at = envelope_time(envelope.get("timestamp"))
    except Unreadable:
        occurred_at = None
    return UnreadableDelivery(
        svix_id=svix_id,
        body=body,
        reason=reason,
        event_type=event_type if event_type in FOLLOWED_EVENTS else None,
        clerk_id=_user_named(envelope, body),
        occurred_at=occurred_at,
    )


def _user_named(envelope: Mapping[str, Any], body: bytes) -> UserId | None:
    """The user of the envelope, or if the body is not an object, the only user id in its bytes."""
    if envelope:
        data = envelope.get("data")
        try:
            return user_id(json_object(data))
        except Unreadable:
            return None
    ids = set(_USER_ID_MEMBER.findall(body))
    return parse_user_id(ids.pop().decode()) if len(ids) == 1 else None
