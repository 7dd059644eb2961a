"""`journal`: replay verified deliveries of our journal."""

from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

import typer

from domain.journal import JournalQuery
from domain.replay import (
    PostDelivery,
    RehearseDelivery,
    ReplayDelivery,
    recorded,
    rehearse_post,
)
from scripts.commands.command import AsJson, Command, DryRun, Run, Yes
from scripts.commands.ending import Refusal
from scripts.commands.filters import with_filters
from scripts.commands.replaying import AFTER_A_REPLAY, Destination, replay
from service.addresses import trusted_address
from service.exit_code import ExitCode
from service.routes.webhooks import PATH


def _webhook_endpoint(text: str) -> str:
    try:
        url = trusted_address(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None
    return url if urlsplit(url).path else f"{url}{PATH}"


Post = Annotated[
    str | None,
    typer.Option(
        "--post",
        parser=_webhook_endpoint,
        metavar="URL",
        help="Post them to that service instead, signed with REPLAY_SIGNING_SECRET.",
    ),
]


@with_filters
def journal(
    *,
    wanted: JournalQuery,
    post: Post = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Replay verified deliveries of our journal, oldest first."""
    command = Command(
        name="journal",
        action="replay",
        target=wanted.svix_id or wanted.user_id,
        options={"from": "the journal", "to": post or "here"},
        if_stopped=AFTER_A_REPLAY,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    command(partial(_work, wanted=wanted, post=post))


async def _work(run: Run, *, wanted: JournalQuery, post: str | None) -> ExitCode:
    journal = run.operations.store.journal
    total = await journal.count(wanted)
    run.require_consent(total, "deliveries would be replayed")
    deliveries = recorded(journal, wanted, run.operations.clerk.delivery_reader)
    return await replay(run, deliveries, _destination(run, post), total)


def _destination(run: Run, post: str | None) -> Destination:
    if not post:
        return here(run)
    there = _post(run, post)
    return rehearse_post if run.dry_run else there


def _post(run: Run, url: str) -> PostDelivery:
    try:
        return PostDelivery(run.operations.webhook_endpoint(url))
    except ValueError as error:
        raise Refusal(ExitCode.MISCONFIGURED, f"Cannot post: {error}.") from None


def here(run: Run) -> Destination:
    """A replay into our own store; in a dry run, a rehearsal.

    Raises `StoreOfAnotherInstance`.
    """
    available = run.operations
    available.clerk.instance.require_no_contradiction()
    if run.dry_run:
        return RehearseDelivery(available.clerk.delivery_reader, available.store.users)
    return ReplayDelivery(available.clerk.delivery_reader, available.store.users)
