"""`dismiss`: quarantined deliveries that are given up."""

from functools import partial
from typing import Annotated

import typer

from domain.journal import QUARANTINED, JournalQuery
from domain.words import count_of
from scripts.commands.command import AsJson, Command, DryRun, Run, Yes
from scripts.commands.ending import Refusal
from scripts.commands.filters import svix_id_of
from service.exit_code import ExitCode

SvixId = Annotated[
    str | None,
    typer.Argument(parser=svix_id_of, metavar="[ID]", help="The svix id of a delivery."),
]
Cause = Annotated[
    str | None,
    typer.Option(metavar="CAUSE", help="All with that cause instead, as the journal has it."),
]
Reason = Annotated[str, typer.Option(help="Why, for the audit trail.")]


def dismiss(
    svix_id: SvixId = None,
    *,
    reason: Reason,
    cause: Cause = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take a delivery out of quarantine unapplied. It stays in the journal as dismissed."""
    if (svix_id is None) == (cause is None) or cause == "":
        raise typer.BadParameter("give the id of one delivery, or --cause")
    if not reason.strip():
        raise typer.BadParameter("give a reason", param_hint="--reason")
    command = Command(
        name="dismiss",
        action="dismiss",
        target=svix_id or cause,
        options={"reason": reason.strip()},
        if_stopped="Either all of them are dismissed, or none.",
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        counted=False,
    )
    wanted = JournalQuery(outcomes=frozenset({QUARANTINED}), svix_id=svix_id, error=cause)
    command(partial(_work, wanted=wanted))


async def _work(run: Run, *, wanted: JournalQuery) -> ExitCode:
    journal = run.operations.store.journal
    count = await journal.count(wanted)
    if not count:
        raise Refusal(ExitCode.BAD_DATA, "No such delivery is in quarantine.")
    run.require_consent(count, "deliveries would be dismissed")
    if not run.dry_run:
        count = await journal.dismiss(wanted)
    run.facts["dismissed"] = count
    would_be = "would be " if run.dry_run else ""
    run.screen.line(f"{count_of(count, 'delivery', 'deliveries')} {would_be}dismissed")
    run.screen.record({"command": run.name, "dry_run": run.dry_run, "dismissed": count})
    return ExitCode.OK
