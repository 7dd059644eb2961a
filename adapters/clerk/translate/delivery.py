"""The one translator: what Clerk says about users, in our words.

Webhooks, Backend API reads and replays all come through here. It is lenient as Clerk's documents
ask for: unknown fields are ignored, and null or missing is accepted wherever Clerk does so. What
would not survive storage, or would break the ordering rule, is `Unreadable`.
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

__all__ = [
    "Unreadable",
    "envelope_time",
    "read_delivery",
    "read_json",
    "read_user",
    "redacted",
]

_SECONDS_BELOW = 100_000_000_000
_LONGEST_EVENT_TYPE = 100
_USER_ID_MEMBER = re.compile(rf'"id"\s*:\s*"({USER_ID})"'.encode())


def envelope_time(unverified: object) -> datetime | None:
    """The envelope's `timestamp`, or None when it has none. Raises `Unreadable` when absurd.

    Clerk documents milliseconds; the examples its dashboard sends carry seconds.
    """
    if unverified is None:
        return None
    if isinstance(unverified, int) and unverified < _SECONDS_BELOW:
        unverified *= 1000
    return moment(unverified, YEAR_2015, "timestamp_absurd")


def redacted(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The envelope as the journal may keep it: no client address, no private or unsafe metadata."""
    kept = dict(envelope)
    kept.pop("event_attributes", None)
    if isinstance(kept.get("data"), Mapping):
        kept["data"] = data = dict(kept["data"])
        data.pop("private_metadata", None)
        data.pop("unsafe_metadata", None)
    return kept


def read_delivery(
    body: bytes, *, svix_id: str, sent_at: datetime, instance_id: str | None, source: Source
) -> VerifiedDelivery:
    """What a verified delivery says. `sent_at` is its `svix-timestamp`, proven by the signature.

    An event of another type, or of an instance other than `instance_id`, is not looked into.
    What cannot be translated comes back as an `UnreadableDelivery`; nothing is raised.
    """
    envelope: object = None
    try:
        envelope = read_json(body)
        fields = json_object(envelope)
        event_type = _event_type(fields)
        if (reason := _not_ours(event_type, fields, instance_id)) is not None:
            return IgnoredDelivery(
                svix_id=svix_id, event_type=_printable(event_type), reason=reason
            )
        return _command(fields, event_type, svix_id, sent_at, source)
    except Unreadable as poison:
        return _poison(envelope, svix_id, body, poison.reason)


def _command(
    envelope: Mapping[str, Any], event_type: str, svix_id: str, sent_at: datetime, source: Source
) -> FollowedDelivery:
    occurred_at = _occurred_at(envelope, sent_at)
    change = _change(envelope, event_type, occurred_at, sent_at)
    delivery = DeliveryRecord(
        svix_id=svix_id,
        event_type=event_type,
        occurred_at=occurred_at or sent_at,
        body=write_json(redacted(envelope)),
    )
    return followed(delivery, change, source)


def _change(
    envelope: Mapping[str, Any], event_type: str, occurred_at: datetime | None, sent_at: datetime
) -> UserChange:
    data = envelope.get("data")
    if data is None:
        raise Unreadable("no_data")
    if event_type == DELETION:
        return DeletedUser(clerk_id=user_id(json_object(data)), deleted_at=occurred_at or sent_at)
    return read_user(data, observed_at=occurred_at, not_after=occurred_at or sent_at)


def _event_type(envelope: Mapping[str, Any]) -> str:
    event_type = envelope.get("type")
    if isinstance(event_type, str):
        return event_type
    raise Unreadable("no_type")


def _not_ours(event_type: str, envelope: Mapping[str, Any], instance_id: str | None) -> str | None:
    if event_type not in FOLLOWED_EVENTS:
        return "event_not_followed"
    if instance_id is not None and envelope.get("instance_id") not in (None, instance_id):
        return "other_instance"
    return None


def _occurred_at(envelope: Mapping[str, Any], sent_at: datetime) -> datetime | None:
    occurred_at = envelope_time(envelope.get("timestamp"))
    if occurred_at is not None and occurred_at > sent_at + AHEAD:
        raise Unreadable("timestamp_absurd")
    return occurred_at


def _printable(event_type: str) -> str:
    cut = event_type[:_LONGEST_EVENT_TYPE]
    return cut if cut.isprintable() else "unprintable"


def _poison(envelope: object, svix_id: str, body: bytes, reason: str) -> UnreadableDelivery:
    """Whatever could be read all the same, so that an erasure by user finds the body."""
    fields: Mapping[str, Any] = envelope if isinstance(envelope, dict) else {}
    event_type = fields.get("type")
    return UnreadableDelivery(
        svix_id=svix_id,
        body=body,
        reason=reason,
        event_type=event_type if event_type in FOLLOWED_EVENTS else None,
        clerk_id=_user_named(fields) if fields else _user_named_in_bytes(body),
        occurred_at=_time_or_none(fields),
    )


def _user_named(envelope: Mapping[str, Any]) -> UserId | None:
    data = envelope.get("data")
    try:
        return user_id(json_object(data))
    except Unreadable:
        return None


def _user_named_in_bytes(body: bytes) -> UserId | None:
    """The one user id in what is no JSON: a broken body still holds somebody's data."""
    ids = set(_USER_ID_MEMBER.findall(body))
    return parse_user_id(ids.pop().decode()) if len(ids) == 1 else None


def _time_or_none(envelope: Mapping[str, Any]) -> datetime | None:
    try:
        return envelope_time(envelope.get("timestamp"))
    except Unreadable:
        return None
