"""Commands as rows of our tables, and rows as records."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from adapters.postgres.columns import JSON_COLUMNS
from domain.errors import Unstorable
from domain.sync_user import SyncUser
from domain.user import (
    KEPT_FIELDS,
    DeletedUser,
    EmailAddress,
    LocalRecord,
    LocalUser,
    Source,
    UserChange,
)

_NOTHING = (None,) * len(KEPT_FIELDS)
_JSON = tuple(KEPT_FIELDS.index(name) for name in JSON_COLUMNS)


def columns_of(commands: Sequence[SyncUser]) -> list[tuple[Any, ...] | None]:
    """The values of a batch, column by column, in the order of `BATCH_COLUMNS`.

    A column of nulls only is None: it need not be sent. Raises `Unstorable`.
    """
    columns = zip(*map(row_of, commands), strict=True)
    return [None if values.count(None) == len(values) else values for values in columns]


def row_of(command: SyncUser) -> tuple[Any, ...]:
    """The values of one command, in the order of `BATCH_COLUMNS`. Raises `Unstorable`."""
    delivery = command.delivery
    arrival = (
        (delivery.svix_id, delivery.event_type, delivery.occurred_at, delivery.body)
        if delivery
        else (None, None, None, None)
    )
    return (command.change.clerk_id, *_state(command.change), command.source.value, *arrival)


def _state(change: UserChange) -> tuple[Any, ...]:
    if isinstance(change, DeletedUser):
        return (None, None, None, change.deleted_at, *_NOTHING)
    kept = [getattr(change, name) for name in KEPT_FIELDS]
    try:
        for index in _JSON:
            kept[index] = orjson.dumps(kept[index]).decode()
    except orjson.JSONEncodeError as error:
        raise Unstorable("metadata that is not JSON") from error
    return (change.clerk_updated_at, change.observed_at, change.digest, None, *kept)


def local_record(record: asyncpg.Record) -> LocalRecord:
    columns = dict(record)
    deleted_at = columns.pop("deleted_at")
    if deleted_at is not None:
        return DeletedUser(clerk_id=columns["clerk_id"], deleted_at=deleted_at)
    columns["public_metadata"] = orjson.loads(columns["public_metadata"])
    addresses = orjson.loads(columns["email_addresses"])
    columns["email_addresses"] = tuple(EmailAddress(**address) for address in addresses)
    columns["synced_by"] = Source(columns["synced_by"])
    user = object.__new__(LocalUser)
    vars(user).update(columns)  # `__init__` would take ten times as long
    return user
