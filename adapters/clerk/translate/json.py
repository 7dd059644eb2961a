"""Values out of JSON from outside: exact, and such that Postgres can keep them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

Reason = Literal[
    "not_json",
    "not_an_object",
    "no_type",
    "no_data",
    "no_user_id",
    "no_updated_at",
    "updated_at_absurd",
    "timestamp_absurd",
    "wrong_type",
    "nul_character",
    "lone_surrogate",
    "not_storable",
    "too_large",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_1971 = 31_536_000_000
YEAR_2015 = 1_420_070_400_000
YEAR_2100 = 4_102_444_800_000

_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ROOM = 10


class Unreadable(Exception):
    """Something we cannot store. `reason` is our own word, never text from the payload."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def read_json(unverified_body: bytes) -> Any:
    """The JSON in the bytes. Raises `Unreadable` for whatever is not strict JSON in UTF-8.

    That includes NaN and Infinity, lone surrogates, a byte order mark and more than 1,024 levels.
    Of duplicate keys the last one counts, and integers beyond 64 bits become floats.
    """
    try:
        return orjson.loads(unverified_body)
    except orjson.JSONDecodeError:
        raise Unreadable("not_json") from None


def json_object(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise Unreadable("not_an_object")


def moment(unverified: object, earliest: int, reason: Reason) -> datetime:
    """A time in whole milliseconds since 1970, from `earliest` up to the year 2100, exactly."""
    if not isinstance(unverified, int) or not earliest <= unverified < YEAR_2100:
        raise Unreadable(reason)
    return EPOCH + timedelta(milliseconds=unverified)


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text field just as it came, or None. Raises `Unreadable` for what Postgres refuses."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unreadable("wrong_type")
    if "\x00" in value:
        raise Unreadable("nul_character")
    if not value.isascii():
        _require_utf8(value)
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """A true-or-false field; null or missing is false."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Unreadable("wrong_type")


def require_storable(value: object) -> None:
    """Raise `Unreadable` for JSON that `jsonb` refuses, or that we could not write again.

    `jsonb` has no NUL. What can be written must leave some levels for the documents it will be
    part of.
    """
    written = write_json(_nested(value))
    if b"\\u0000" in written and _NUL_ESCAPE.search(written):
        raise Unreadable("nul_character")


def write_json(value: object) -> bytes:
    """The same bytes for the same value, keys in the order they came.

    Raises `Unreadable` for more than 254 levels, lone surrogates and integers beyond 64 bits.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Unreadable("not_storable") from None


def _nested(value: object) -> object:
    for _ in range(_ROOM):
        value = [value]
    return value


def _require_utf8(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unreadable("lone_surrogate") from None
