"""Times as an operator writes them: `2026-01-31T12:00Z`, or `3h` for three hours ago."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def past_moment(text: str) -> datetime:
    """Raises `typer.BadParameter`, with words, for garbage, a missing zone and the future."""
    moment = _ago(text) or _moment(text)
    if moment > datetime.now(UTC):
        raise typer.BadParameter(f"{text} is in the future")
    return moment


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raises `typer.BadParameter` where nothing can lie between the two."""
    if since and until and since >= until:
        raise typer.BadParameter("--since must be before --until")


def _ago(text: str) -> datetime | None:
    match = _AGO.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise typer.BadParameter(f"{text} ago is before all time") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2026-01-31T12:00Z, or 2h, 3d for as long ago"
        ) from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text} has no time zone: add Z, or one like +02:00")
    return moment
