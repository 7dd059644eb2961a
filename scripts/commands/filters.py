"""The options with which `journal` and `export` select deliveries."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any

import typer

from domain import words
from domain.journal import JOURNAL_OUTCOMES, JournalQuery
from domain.sync_user import is_svix_id
from domain.user import UserId, parse_user_id


def _outcome(text: str) -> str:
    if text not in JOURNAL_OUTCOMES:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(sorted(JOURNAL_OUTCOMES))}")
    return text


def _user_id(text: str) -> UserId:
    try:
        return parse_user_id(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a Clerk user id (user_…)") from None


def svix_id_of(text: str) -> str:
    """Raises `typer.BadParameter`: an empty one, as of an empty variable, must not mean all."""
    if not is_svix_id(text):
        raise typer.BadParameter(f"{text!r} is not the svix id of a delivery")
    return text


def past_moment(text: str) -> datetime:
    """`domain.words.past_moment`. Raises `typer.BadParameter`."""
    try:
        return words.past_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def _query(
    *,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            "--outcome",
            "--status",
            parser=_outcome,
            metavar="OUTCOME",
            help="Only deliveries with that outcome, such as quarantined. Repeatable.",
        ),
    ] = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only that event type, such as user.updated. Repeatable."
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(parser=_user_id, metavar="USER", help="Only deliveries about that user."),
    ] = None,
    svix_id: Annotated[
        str | None,
        typer.Option(parser=svix_id_of, metavar="ID", help="Only that delivery."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=past_moment,
            metavar="TIME",
            help="Only deliveries first received since then: ISO with a zone, or an age: 2h, 3d.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=past_moment,
            metavar="TIME",
            help="Only deliveries first received before then.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="At most this many, the oldest first."),
    ] = None,
) -> JournalQuery:
    """The query of these options. Raises `typer.BadParameter`."""
    if since and until and since >= until:
        raise typer.BadParameter("--since must be before --until")
    return JournalQuery(
        outcomes=frozenset(outcome or ()),
        event_types=frozenset(event_type or ()),
        user_id=UserId(user) if user else None,
        svix_id=svix_id,
        since=since,
        until=until,
        limit=limit,
    )


_FILTERS = inspect.signature(_query).parameters


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `wanted`, a `JournalQuery`, of `command` by these options.

    Typer reads the options from the signature.
    """

    @wraps(command)
    def with_options(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in _FILTERS if name in given}
        command(wanted=_query(**chosen), **given)

    own = inspect.signature(command)
    kept = [one for one in own.parameters.values() if one.name != "wanted"]
    first = [one for one in kept if one.kind is not one.KEYWORD_ONLY]
    rest = [one for one in kept if one.kind is one.KEYWORD_ONLY]
    parameters = [*first, *_FILTERS.values(), *rest]
    with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options
