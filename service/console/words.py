"""Times, lengths and values as people read them. Filters of the templates."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from domain.user import Source
from domain.words import span


def ago(moment: datetime, now: datetime) -> str:
    """`12 s ago`, or `in 3 min` where clocks differ."""
    length = now - moment
    if length.total_seconds() < -1:
        return f"in {span(length)}"
    return "just now" if length.total_seconds() < 1 else f"{span(length)} ago"


def clock(moment: datetime) -> str:
    """To the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def exact(moment: datetime) -> str:
    """To the millisecond, as Clerk counts, in UTC."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


def sentence(text: str) -> str:
    """With a capital at its beginning, and left alone otherwise: there are names in it."""
    return text[:1].upper() + text[1:]


def source(came_by: Source | str) -> str:
    """How we came to know something."""
    return "just in time" if came_by == Source.JIT else str(came_by)


def iso(moment: datetime) -> str:
    """For machines."""
    return moment.isoformat()


def value(anything: Any) -> str:
    """A field of a user, as text."""
    if anything is None:
        return "—"
    if anything == "":
        return "“”"
    if isinstance(anything, bool):
        return "yes" if anything else "no"
    if isinstance(anything, datetime):
        return exact(anything)
    if isinstance(anything, Mapping):
        return orjson.dumps(dict(anything), default=str).decode()
    return str(anything)
