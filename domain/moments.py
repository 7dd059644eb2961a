"""Times as an operator writes them: `2026-01-31T12:00Z`, or `3h` for three hours ago."""

import re
from datetime import datetime, timedelta

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def past_moment(text: str, now: datetime) -> datetime:
    """Raises `ValueError`, in words, for garbage, a missing zone and the future."""
    moment = _ago(text, now) or _moment(text)
    if moment > now:
        raise ValueError(f"{text} is in the future")
    return moment


def _ago(text: str, now: datetime) -> datetime | None:
    match = _AGO.fullmatch(text)
    if match is None:
        return None
    try:
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"{text} ago is before all time") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-01-31T12:00Z, or 2h, 3d for as long ago"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone: add Z, or one like +02:00")
    return moment
