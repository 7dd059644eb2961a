"""Observations as columns of a page, and rows as what they mean."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
import orjson

from domain.errors import Unstorable
from domain.observation import SyncResult, SyncUser
from domain.user import (
    CONTENT_FIELDS,
    DeletedUser,
    LocalUser,
    Outcome,
    Source,
    User,
    UserChange,
    contents_of,
)

LocalRecord: TypeAlias = LocalUser | DeletedUser

_NOTHING = (None,) * len(CONTENT_FIELDS)
_METADATA = CONTENT_FIELDS.index("public_metadata")


def columns_of(commands: Sequence[SyncUser]) -> list[tuple[Any, ...] | None]:
    """A page's values in the order of `PAGE_COLUMNS`. Raises `Unstorable`.

    None stands for a column of nothing but nulls: it need not be sent.
    """
    return [_column(values) for values in zip(*map(_row, commands), strict=True)]


def result_of(record: asyncpg.Record) -> SyncResult:
    return SyncResult(
        outcome=Outcome(record["outcome"]),
        deliveries=record["deliveries"],
        conflicting=record["conflicting"],
    )


def local_record(record: asyncpg.Record) -> LocalRecord:
    columns = dict(record)
    deleted_at = columns.pop("deleted_at")
    if deleted_at is not None:
        return DeletedUser(clerk_id=columns["clerk_id"], deleted_at=deleted_at)
    columns["public_metadata"] = orjson.loads(columns["public_metadata"])
    columns["synced_by"] = Source(columns["synced_by"])
    user = object.__new__(LocalUser)
    vars(user).update(columns)  # all there, by name: `__init__` would take ten times as long
    return user


def _column(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return None if values.count(None) == len(values) else values


def _row(command: SyncUser) -> tuple[Any, ...]:
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
    return (change.clerk_updated_at, change.observed_at, change.digest, None, *_contents(change))


def _contents(user: User) -> list[Any]:
    values = list(contents_of(user))
    values[_METADATA] = _json(user.public_metadata)
    return values


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(metadata)).decode()
    except orjson.JSONEncodeError as error:
        raise Unstorable("metadata that is no JSON") from error
