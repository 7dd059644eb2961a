"""A change in the form in which other services get it: pushed, published, or pulled over HTTP."""

from dataclasses import fields
from typing import Any

import orjson

from domain.changes import Change
from domain.subscriptions import Delivery
from domain.user import LocalUser
from service.json import plain_values

_CHANGE = tuple(field.name for field in fields(Change) if field.name != "traceparent")
_RECORD = tuple(field.name for field in fields(LocalUser))


def message(delivery: Delivery) -> bytes:
    """A Standard Webhooks payload: `type`, `timestamp` and `data`.

    `data` is the change and, as `user`, the record as it is now: null if deleted since.
    """
    change = delivery.change
    document = {
        "type": f"user.{change.kind}",
        "timestamp": change.occurred_at,
        "data": {**change_document(change), "user": _record(delivery.user)},
    }
    return orjson.dumps(document, default=plain_values, option=orjson.OPT_UTC_Z)


def change_document(change: Change) -> dict[str, Any]:
    """Ids, names of fields, source and times; no value. The same in every message."""
    return {name: getattr(change, name) for name in _CHANGE}


def _record(user: LocalUser | None) -> dict[str, Any] | None:
    """Every column. A page of `/v1/changes` has the fields of `/v1/me` instead."""
    return None if user is None else {name: getattr(user, name) for name in _RECORD}
