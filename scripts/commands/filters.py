"""The options by which `journal` and `export` choose deliveries."""

from datetime import datetime
from typing import Annotated

import typer

from domain.journal import JOURNAL_OUTCOMES, JournalQuery
from domain.user import UserId, parse_user_id
from scripts.commands.times import check_order, past_moment


def _outcome(text: str) -> str:
    if text not in JOURNAL_OUTCOMES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(sorted(JOURNAL_OUTCOMES))}")
    return text


def user_id(text: str) -> UserId:
    """Raises `typer.BadParameter` for what has not the shape of one."""
    try:
        return parse_user_id(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a Clerk user id (user_…)") from None


Outcomes = Annotated[
    list[str] | None,
    typer.Option(
        "--outcome",
        "--status",
        parser=_outcome,
        metavar="OUTCOME",
        help="Only what did that, such as quarantined; may be repeated.",
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only that event type, such as user.updated; may be repeated."),
]
User = Annotated[
    str | None, typer.Option("--user", parser=user_id, metavar="USER", help="Only of that user.")
]
SvixId = Annotated[str | None, typer.Option("--svix-id", help="Only that delivery.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=past_moment,
        metavar="TIME",
        help="Only what we first saw since then: ISO with a zone, or 2h, 3d for as long ago.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(parser=past_moment, metavar="TIME", help="Only what we first saw before then."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the oldest first.")]


def chosen(
    *,
    outcome: list[str] | None,
    event_type: list[str] | None,
    user: str | None,
    svix_id: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
) -> JournalQuery:
    """The filter. Raises `typer.BadParameter`."""
    check_order(since, until)
    return JournalQuery(
        outcomes=frozenset(outcome or ()),
        event_types=frozenset(event_type or ()),
        user_id=UserId(user) if user else None,
        svix_id=svix_id,
        since=since,
        until=until,
        limit=limit,
    )
