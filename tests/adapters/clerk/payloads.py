"""Clerk's payloads under `tests/data/clerk`, as they are and with changes."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.clerk.translate.delivery import read_delivery
from adapters.clerk.translate.json import Unreadable
from adapters.clerk.translate.user import read_user
from domain.sync_user import (
    FollowedDelivery,
    IgnoredDelivery,
    SyncUser,
    UnreadableDelivery,
    VerifiedDelivery,
)
from domain.user import Source, User

DATA = Path(__file__).parents[2] / "data" / "clerk"
INSTANCE = "ins_3fwv0wiA77ZnkfQgQP92BDrKNUo"
ADA = "user_3mOfoNu13tPBTVWNKnzbmPKu4L5"
EMAIL_ID = "idn_3T1plN50edEjBEQxPRK3ilCcmLC"
UPDATED_MS = 1760000000018
MISSING = object()


def ms(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


SENT_AT = ms(1760010000000)


def webhook_bytes(name: str) -> bytes:
    return (DATA / "webhooks" / f"{name}.json").read_bytes()


def webhook_names() -> list[str]:
    return sorted(path.stem for path in (DATA / "webhooks").glob("*.json"))


def api_bytes(name: str) -> bytes:
    return (DATA / "bapi" / f"{name}.json").read_bytes()


def changed(fields: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """With these members, and without those that are `MISSING`."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not MISSING}


def envelope(name: str = "user.created", **changes: Any) -> dict[str, Any]:
    return changed(json.loads(webhook_bytes(name)), **changes)


def user_fields(**changes: Any) -> dict[str, Any]:
    """The `data` of user.created, changed."""
    return changed(envelope()["data"], **changes)


def with_data(name: str = "user.created", **changes: Any) -> dict[str, Any]:
    """An envelope whose `data` is changed."""
    whole = envelope(name)
    return {**whole, "data": changed(whole["data"], **changes)}


def translated(**changes: Any) -> User:
    """The user in user.created, its fields changed."""
    return read_user(user_fields(**changes), observed_at=None, not_after=SENT_AT)


def delivered(
    body: bytes | Mapping[str, Any] | list[Any] | str | int | None,
    *,
    sent_at: datetime = SENT_AT,
    instance_id: str | None = None,
) -> VerifiedDelivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_delivery(
        raw, svix_id="msg_1", sent_at=sent_at, instance_id=instance_id, source=Source.WEBHOOK
    )


def command(body: bytes | Mapping[str, Any], **how: Any) -> SyncUser:
    delivery = delivered(body, **how)
    assert isinstance(delivery, FollowedDelivery), delivery
    return delivery.command


def poison(body: Any, **how: Any) -> UnreadableDelivery:
    delivery = delivered(body, **how)
    assert isinstance(delivery, UnreadableDelivery), delivery
    return delivery


def ignored(body: Any, **how: Any) -> IgnoredDelivery:
    delivery = delivered(body, **how)
    assert isinstance(delivery, IgnoredDelivery), delivery
    return delivery


def reason(**changes: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        translated(**changes)
    return caught.value.reason


def address(email: Any = "ada@example.com", **fields: Any) -> dict[str, Any]:
    return {
        "id": EMAIL_ID,
        "email_address": email,
        "verification": {"status": "verified"},
        **fields,
    }
