"""Durations, counts and times as operators read and write them."""

import re
from datetime import UTC, datetime, timedelta

_LARGEST_FIRST = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(length: timedelta) -> str:
    """A duration in its largest unit: `12 s`, `3 min`, `250 ms`."""
    seconds = abs(length.total_seconds())
    for size, unit in _LARGEST_FIRST:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1000:.0f} ms"


def count_of(number: int, one: str, many: str | None = None) -> str:
    """`1 user`, `2,000 users`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def past_moment(text: str, now: datetime) -> datetime:
    """`2026-01-31T12:00Z`, or `3h` for three hours ago.

    Raises `ValueError`, with a text for the operator, for anything else, a time without a time zone
    and one in the future or before 1970: nothing can be subtracted from a time near the year 1.
    """
    ago = _AGO.fullmatch(text)
    moment = _before(now, ago) if ago else _iso(text)
    if moment > now:
        raise ValueError(f"{text} is in the future")
    if moment < _BEGIN:
        raise ValueError(f"{text} is before 1970")
    return moment


def _before(now: datetime, ago: re.Match[str]) -> datetime:
    try:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2026-01-31T12:00Z, or 3h for three hours ago"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone: add Z, or one like +02:00")
    return moment
