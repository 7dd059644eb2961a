"""Times as an operator writes them, on a command line."""

from datetime import UTC, datetime

import typer

from domain import words


def past_moment(text: str) -> datetime:
    """Raises `typer.BadParameter`, with words, for garbage, a missing zone and the future."""
    try:
        return words.past_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raises `typer.BadParameter` where nothing can lie between the two."""
    if since and until and since >= until:
        raise typer.BadParameter("--since must be before --until")
