"""Read untrusted JSON, and refuse values that Postgres cannot store."""

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
    "no_instance_id",
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
"""Milliseconds since `EPOCH`."""

_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_REWRITTEN = re.compile(rb"[0-9]e[+]?[0-9]|-0[.]0")
_SPARE_LEVELS = 10


class Unreadable(Exception):
    """A value that cannot be read or stored. `reason` is our own word, never the payload's."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def read_json(unverified_body: bytes) -> Any:
    """Parse strict JSON in UTF-8. Raises `Unreadable` for anything else.

    NaN, Infinity, lone surrogates, a byte order mark and more than 1,024 levels are refused. Of
    duplicate keys the last one counts, and integers beyond 64 bits become floats.
    """
    try:
        return orjson.loads(unverified_body)
    except orjson.JSONDecodeError:
        raise Unreadable("not_json") from None


def write_json(value: object) -> bytes:
    """The value as JSON, with keys in their order.

    Raises `Unreadable` for more than 254 levels, lone surrogates and integers beyond 64 bits.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Unreadable("not_storable") from None


def json_object(value: object) -> Mapping[str, Any]:
    """The value, if it is a JSON object. Raises `Unreadable`."""
    if isinstance(value, dict):
        return value
    raise Unreadable("not_an_object")


def moment(unverified: object, earliest: int, reason: Reason) -> datetime:
    """A time given in whole milliseconds since 1970, from `earliest` up to the year 2100.

    Raises `Unreadable` with `reason` for anything else.
    """
    if not isinstance(unverified, int) or not earliest <= unverified < YEAR_2100:
        raise Unreadable(reason)
    return EPOCH + timedelta(milliseconds=unverified)


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text field, unchanged, or None. Raises `Unreadable` for text that Postgres refuses."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unreadable("wrong_type")
    if "\x00" in value:
        raise Unreadable("nul_character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unreadable("lone_surrogate") from None
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """A boolean field; null or missing is false. Raises `Unreadable`."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Unreadable("wrong_type")


def storable_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object as `jsonb` stores it; null or missing is `{}`.

    Raises `Unreadable` for a NUL, which `jsonb` refuses, and for an object that is nested too
    deeply to be part of another document.
    """
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("wrong_type")
    if not value:
        return value
    nested: object = value
    for _ in range(_SPARE_LEVELS):
        nested = [nested]
    written = write_json(nested)
    if b"\\u0000" in written and _NUL_ESCAPE.search(written):
        raise Unreadable("nul_character")
    return _as_read_back(value) if _REWRITTEN.search(written) else value


def _as_read_back(value: Any) -> Any:
    """The value as `jsonb` gives it back, which has neither a negative zero nor exponents.

    So a whole number of 17 digits and more comes back as an integer, or beyond 64 bits as a float.
    """
    if isinstance(value, dict):
        return {name: _as_read_back(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_read_back(inner) for inner in value]
    if not isinstance(value, float):
        return value
    is_integer = abs(value) >= 1e16 and -(2.0**63) <= value < 2.0**64
    return int(value) if is_integer else value + 0.0
