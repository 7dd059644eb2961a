"""`explain`: show one user's history, and compare our record with Clerk's."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from domain.errors import IdentityProviderUnavailable
from domain.explain import Comparison, TimelineEvent, beside, standing, timeline
from domain.finished import Ending
from domain.user import LocalUser, User, UserId
from domain.words import count_of
from scripts.commands.command import AsJson, Command, Run
from scripts.commands.ending import Refusal
from scripts.commands.screen import written
from scripts.commands.users import UserArgument
from service.changes_of import ChangeRow, changes_of
from service.exit_code import ExitCode

TIMEOUT = 15.0
"""Seconds for Clerk's answer."""

Live = Annotated[bool, typer.Option("--live", help="Ask Clerk too, and compare field by field.")]


def explain(user: UserArgument, *, live: Live = False, as_json: AsJson = False) -> None:
    """Show every observation of one user, its outcome, and the reason."""
    command = Command(
        name="explain",
        users=(user,),
        if_stopped="It writes nothing.",
        as_json=as_json,
        exclusive=False,
        counted=False,
    )
    command(partial(_explain, live=live))


async def _explain(run: Run, *, live: bool) -> ExitCode:
    (user_id,) = run.users
    record = await run.operations.store.users.get(user_id)
    events = timeline(await run.operations.store.journal.history(user_id))
    clerks = await _ask_clerk(run, user_id) if live else None
    if record is None and not events and clerks is None:
        raise Refusal(ExitCode.BAD_DATA, f"Nothing is known about {user_id}{_where(live=live)}.")
    run.screen.line(f"{user_id}, our id {record.id}" if isinstance(record, LocalUser) else user_id)
    for event in events:
        _show_event(run, event)
    changes = await changes_of(run.operations.store, user_id)
    for row in changes.rows:
        _show_change(run, row)
    _show_endings(run, changes.endings)
    run.screen.line(f"Now: {standing(record)}")
    run.screen.record({"user": user_id, "standing": standing(record)})
    for comparison in beside(record, clerks) if live else ():
        _show_comparison(run, comparison)
    return ExitCode.OK


def _show_change(run: Run, row: ChangeRow) -> None:
    """A change, and what became of it in every subscription."""
    change = row.change
    fields = f" {', '.join(change.changed)}" if change.changed else ""
    number = f" {change.position}" if change.position else ""
    run.screen.line(
        f"{_time(change.recorded_at)}  change{number}: {change.kind}{fields} by {change.source}"
    )
    for name, words in row.made.items():
        run.screen.line(f"    {name}: {words}")
    run.screen.record(
        {
            "change": change.kind,
            "position": change.position,
            "changed": change.changed,
            "source": change.source,
            "recorded_at": change.recorded_at,
            "subscriptions": row.made,
        }
    )


def _show_endings(run: Run, endings: Sequence[Ending]) -> None:
    """Which subscriptions have finished with a deleted user."""
    if endings:
        run.screen.line("Finished with this user:")
    for one in endings:
        left = f", {count_of(one.left, 'change')} left" if one.left else ""
        run.screen.line(f"    {one.subscription}: {one.state}{left}; the deletion: {one.deletion}")
        run.screen.record(
            {
                "subscription": one.subscription,
                "state": one.state,
                "deletion": one.deletion,
                "left": one.left,
            }
        )


async def _ask_clerk(run: Run, user_id: UserId) -> User | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await run.operations.clerk.bulk.fetch(user_id)
    except TimeoutError:
        raise IdentityProviderUnavailable(f"no answer in {TIMEOUT:.0f} s") from None


def _where(*, live: bool) -> str:
    return ", here or at Clerk" if live else " here; --live asks Clerk"


def _show_event(run: Run, event: TimelineEvent) -> None:
    happened = f", happened {_time(event.happened_at)}" if event.happened_at else ""
    delivery = f" {event.svix_id}" if event.svix_id else ""
    run.screen.line(
        f"{_time(event.seen_at)}  {event.source} {event.what}{delivery}{happened}\n"
        f"    {event.words}"
    )
    run.screen.record(
        {
            "seen_at": event.seen_at,
            "happened_at": event.happened_at,
            "source": event.source,
            "event": event.what,
            "svix_id": event.svix_id,
            "words": event.words,
        }
    )


def _show_comparison(run: Run, comparison: Comparison) -> None:
    mark = "=" if comparison.same else "≠"
    ours, clerks = written(comparison.ours), written(comparison.clerks)
    beside = ours if comparison.same else f"{ours}  at Clerk: {clerks}"
    run.screen.line(f"  {mark} {comparison.field}: {beside}")
    run.screen.record(
        {
            "field": comparison.field,
            "ours": comparison.ours,
            "clerks": comparison.clerks,
            "same": comparison.same,
        }
    )


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
