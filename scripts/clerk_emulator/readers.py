"""Check the type of one request parameter.

Each function takes the parameter's name and value. It returns the value in the record's type, or
raises `ClerkApiError` 422.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scripts.clerk_emulator import errors

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise errors.param_invalid(name, value)
    return value


def text_or_removed(name: str, value: Any) -> str | None:
    """A username or external id. An empty string removes it, as null does."""
    return text(name, value) or None


def flag(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise errors.param_invalid(name, value)
    return value


def time(name: str, value: Any) -> int | None:
    """RFC 3339 to milliseconds. A time without an offset is UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise errors.param_format_invalid(name, "a date and time of RFC 3339") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def json_object(name: str, value: Any) -> Mapping[str, Any]:
    """Metadata. Null is the empty object."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise errors.param_invalid(name, value)
    return value


def texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise errors.param_invalid(name, value)
    return value


def email_address(name: str, value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise errors.param_format_invalid(name, "a valid email address")
    return value


def phone_number(name: str, value: str) -> str:
    if not _E164.fullmatch(value):
        expected = "a valid phone number according to E.164 international standard"
        raise errors.param_format_invalid(name, expected)
    return value
