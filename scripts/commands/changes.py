"""`changes`: look at the log of changes and at its subscriptions, and act on what is set aside."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from domain import finding
from domain.change_log import LogEnds, NotKept
from domain.changes import Change
from domain.errors import FellBehind
from domain.subscription_health import standings_now
from domain.subscriptions import RETRIED, SKIPPED, SetAside, SubscriptionStanding
from domain.words import count_of, span
from scripts.commands.command import AsJson, Command, DryRun, Run, Yes
from scripts.commands.ending import Refusal
from service.change_message import change_document
from service.exit_code import ExitCode

SHOWN_AT_ONCE = 1000
ASKED_EVERY = 0.5
"""Seconds between two looks at the log with `--follow`."""

Name = Annotated[str, typer.Argument(help="The subscription's name.")]
Position = Annotated[
    int | None,
    typer.Option("--position", min=1, help="This change alone, whether it waits or is parked."),
]


def tail(
    *,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Begin after this position.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the newest changes: the names of what changed, and no value."""
    command = _looking("changes tail", as_json=as_json)
    command(partial(_tail, after=after, follow=follow))


def list_(
    name: Annotated[str | None, typer.Argument(help="Show what this one has set aside.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show every subscription, or what one of them has set aside."""
    command = _looking("changes list", as_json=as_json)
    command(partial(_list, name=name))


def retry(
    name: Name, *, position: Position = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Try all changes again that wait or are parked: now, and from the first try."""
    options = {"position": position}
    command = _acting("retry", name, options, dry_run=dry_run, as_json=as_json)
    command(partial(_retry, name=name, position=position))


def skip(
    name: Name, *, position: Position = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Give up all parked changes: they are not delivered, and the user's later ones are."""
    options = {"position": position}
    command = _acting("skip", name, options, dry_run=dry_run, as_json=as_json)
    command(partial(_skip, name=name, position=position))


def rewind(
    name: Name,
    *,
    to: Annotated[
        str, typer.Option("--to", help="`oldest`, `now`, or a position, after which it goes on.")
    ],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Continue a subscription at another position, earlier or later."""
    command = _acting("rewind", name, {"to": to}, dry_run=dry_run, as_json=as_json)
    replace(command, yes=yes)(partial(_rewind, name=name, to=to))


def resume(name: Name, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Resume a paused subscription at its position."""
    command = _acting("resume", name, {}, dry_run=dry_run, as_json=as_json)
    command(partial(_resume, name=name))


def remove(name: Name, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Delete a subscription that no process runs any more, and the changes it has set aside."""
    command = _acting("remove", name, {}, dry_run=dry_run, as_json=as_json)
    command(partial(_remove, name=name))


def _looking(name: str, *, as_json: bool) -> Command:
    return Command(
        name=name,
        if_stopped="It changes no subscription.",
        as_json=as_json,
        exclusive=False,
        counted=False,
    )


def _acting(
    verb: str, target: str, options: Mapping[str, Any], *, dry_run: bool, as_json: bool
) -> Command:
    return Command(
        name=f"changes {verb}",
        action=f"changes {verb}",
        target=target,
        options=options,
        if_stopped="It is done or not; run the same command again to be sure.",
        dry_run=dry_run,
        as_json=as_json,
        exclusive=False,
        counted=False,
    )


async def _tail(run: Run, *, after: int | None, follow: bool) -> ExitCode:
    log = run.operations.store.changes
    newest = await log.number()
    position = max(newest - 20, 0) if after is None else after
    if after is None:
        position = max(position, (await log.ends()).oldest - 1, 0)
    while True:
        try:
            changes = await log.after(position, SHOWN_AT_ONCE)
        except FellBehind:
            oldest = (await log.ends()).oldest
            words = f"Changes up to {oldest - 1} are no longer kept: --after {oldest - 1}"
            raise Refusal(ExitCode.BAD_DATA, words) from None
        for change in changes:
            _show_change(run, change)
            position = change.position
        if not changes and not follow:
            return ExitCode.OK
        if not changes:
            await asyncio.sleep(ASKED_EVERY)
            await log.number()


async def _list(run: Run, *, name: str | None) -> ExitCode:
    desk = run.operations.store.desk
    if name is not None:
        standing = await _known(run, name)
        for aside in (shown := await desk.set_aside(name, SHOWN_AT_ONCE)):
            _show_aside(run, name, aside)
        more = standing.waiting + standing.parked + standing.given_up - len(shown)
        if len(shown) == SHOWN_AT_ONCE and more > 0:
            run.screen.say(f"Not shown: {more:,} more")
        return ExitCode.OK
    standings = await standings_now(run.operations.store.changes, desk)
    for one in standings:
        run.screen.record(_as_record(one))
    run.screen.wide_table(_table(standings))
    return ExitCode.OK


async def _retry(run: Run, *, name: str, position: int | None) -> ExitCode:
    await _known(run, name)
    desk = run.operations.store.desk
    number = await (
        desk.chosen(name, RETRIED, position) if run.dry_run else desk.retry(name, position)
    )
    return _said(run, f"{count_of(number, 'change')} to be tried again", number)


async def _skip(run: Run, *, name: str, position: int | None) -> ExitCode:
    await _known(run, name)
    desk = run.operations.store.desk
    number = await (
        desk.chosen(name, SKIPPED, position) if run.dry_run else desk.skip(name, position)
    )
    return _said(run, f"{count_of(number, 'change')} to be given up", number)


async def _rewind(run: Run, *, name: str, to: str) -> ExitCode:
    standing = await _known(run, name)
    await run.operations.store.changes.number()
    position = _place(to, await run.operations.store.changes.ends())
    if not standing.fell_behind:
        # The line that started over one that fell behind may be run a second time.
        again = "of the changes that are kept would be delivered again, if wanted"
        run.require_consent(standing.position - position, again, above=0)
    if not run.dry_run:
        await run.operations.store.desk.rewind(name, position)
    return _said(run, f"{name} goes on after {position}; it was at {standing.position}", position)


async def _resume(run: Run, *, name: str) -> ExitCode:
    standing = await _known(run, name)
    if standing.paused_at is None:
        return _said(run, f"{name} is not paused", 0)
    if not run.dry_run:
        await run.operations.store.desk.resume(name)
    return _said(run, f"{name} goes on after {standing.position}", 1)


async def _remove(run: Run, *, name: str) -> ExitCode:
    standing = await _known(run, name)
    if standing.holder is not None:
        raise Refusal(
            ExitCode.ALREADY_RUNNING, f"{name} is run by {standing.holder}: stop it first"
        )
    if not run.dry_run:
        await run.operations.store.desk.remove(name)
    return _said(run, f"{name} is forgotten", 1)


async def _known(run: Run, name: str) -> SubscriptionStanding:
    standings = await run.operations.store.desk.standings()
    for one in standings:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in standings) or "none"
    raise Refusal(ExitCode.BAD_DATA, f"There is no subscription {name!r}. There are: {names}")


def _place(to: str, ends: LogEnds) -> int:
    try:
        return ends.place(to)
    except NotKept as error:
        raise Refusal(ExitCode.BAD_DATA, f"--to {to}: {error}") from None
    except ValueError as error:
        raise Refusal(ExitCode.USAGE, f"--to: {error}") from None


def _said(run: Run, words: str, number: int) -> ExitCode:
    run.facts["number"] = number
    run.screen.line(f"{words} (dry run: nothing was written)" if run.dry_run else words)
    run.screen.record({"command": run.name, "dry_run": run.dry_run, "number": number})
    return ExitCode.OK


def _show_change(run: Run, change: Change) -> None:
    fields = f" {', '.join(change.changed)}" if change.changed else ""
    run.screen.line(
        f"{change.position:>8}  {change.recorded_at.isoformat(timespec='milliseconds')}  "
        f"{change.clerk_id} {change.kind}{fields} by {change.source}"
    )
    run.screen.record(change_document(change))


def _show_aside(run: Run, name: str, aside: SetAside) -> None:
    due = f", due in {span(timedelta(seconds=aside.pause))}" if aside.pause > 0 else ""
    is_waiting = aside.state == "waiting"
    failures = f"{count_of(aside.attempts, 'failure')}: {aside.error}"
    run.screen.line(
        f"{aside.position:>8}  {aside.clerk_id}  {aside.state}{due if is_waiting else ''}, "
        f"{failures if aside.error else 'not tried yet'}"
    )
    record = {field: getattr(aside, field) for field in SetAside.__slots__}
    run.screen.record({"subscription": name, **record})


def _as_record(one: SubscriptionStanding) -> dict[str, Any]:
    columns = {field: getattr(one, field) for field in SubscriptionStanding.__slots__}
    wants = columns.pop("wants")
    return {
        **columns,
        "kinds": sorted(wants.kinds),
        "sources": sorted(wants.sources),
        "fields": sorted(wants.fields),
    }


def _run_by(one: SubscriptionStanding) -> str:
    if one.paused_at is not None:
        return f"paused, {one.paused_because}: {finding.command(f'changes resume {one.name}')}"
    return one.holder or "nobody"


def _table(standings: Any) -> Table:
    columns = ("subscription", "position", "behind", "waiting", "parked", "given up", "run by")
    table = Table(*columns, title="subscriptions", title_justify="left")
    for one in standings:
        since = f", {span(timedelta(seconds=one.behind_seconds))}" if one.behind else ""
        table.add_row(
            one.name,
            f"{one.position:,}",
            "not in the log" if one.fell_behind else f"{one.behind:,}{since}",
            f"{one.waiting:,}",
            f"{one.parked:,}",
            f"{one.given_up:,}",
            escape(_run_by(one)),
        )
    return table
