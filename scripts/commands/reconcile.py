"""`reconcile`: both sides held against each other."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer

from domain.drift import Drift, DriftKind, Findings
from domain.reconcile import Brake, ReconcileOptions
from domain.user import LocalUser
from scripts.commands.command import AsJson, Command, DryRun, Run
from scripts.commands.exit_codes import ExitCode
from service.services import reconcile_of

Full = Annotated[
    bool, typer.Option("--full", help="Every id on both sides, not only what Clerk updated since.")
]
Repair = Annotated[bool, typer.Option("--repair", help="Write what Clerk says where we differ.")]
ShowValues = Annotated[
    bool, typer.Option("--show-values", help="Show both values of each differing field.")
]
AllowDeletions = Annotated[
    int | None,
    typer.Option(min=0, help="Tombstone up to so many rows, instead of 50 or 1 % of the live."),
]


def reconcile(
    *,
    full: Full = False,
    repair: Repair = False,
    show_values: ShowValues = False,
    allow_deletions: AllowDeletions = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Report where the table and Clerk disagree, and make it right with --repair."""
    command = Command(
        name="reconcile",
        if_stopped="What is repaired stays so; the same command begins anew and finds the rest.",
        dry_run=dry_run or not repair,
        spared=Command.spared if dry_run else "without --repair: no user was written",
        as_json=as_json,
    )
    options = ReconcileOptions(
        repair=repair and not dry_run,
        brake=Brake(allowed=allow_deletions),
        remember=not dry_run,
    )
    command(partial(_work, full=full, show_values=show_values, options=options))


async def _work(run: Run, *, full: bool, show_values: bool, options: ReconcileOptions) -> ExitCode:
    use_case = reconcile_of(run.operations.store, run.operations.clerk)
    total = await run.operations.clerk.bulk.count() if full else None
    findings = Findings()
    with run.screen.progress("users", total) as advance:
        options = replace(options, on_drift=partial(_show, run, show_values), on_compared=advance)
        try:
            await (use_case.full if full else use_case.recent)(options, findings)
        finally:
            run.tally.update(findings.outcomes)
            run.report_left_out(findings.left_out)
            run.facts.update(_facts(findings))
    return _verdict(run, findings)


def _verdict(run: Run, findings: Findings) -> ExitCode:
    """What was to be repaired and is not, or could not be read at all, is bad data."""
    if findings.held_back:
        run.screen.say(
            f"{findings.held_back} rows are not at Clerk any more: too many to tombstone unasked. "
            f"If that is right: --full --repair --allow-deletions {findings.held_back}"
        )
    unrepaired = not run.dry_run and findings.left
    return ExitCode.BAD_DATA if unrepaired or run.tally["failed"] else ExitCode.OK


def _facts(findings: Findings) -> dict[str, Any]:
    return {
        "compared": findings.compared,
        **{f"drift_{kind}": findings.found[kind] for kind in DriftKind},
        "drift_repaired": findings.repaired.total(),
        "drift_left": findings.left,
    }


def _show(run: Run, show_values: bool, drift: Drift) -> None:  # noqa: FBT001 - bound by `partial`
    if run.dry_run:
        run.tally[drift.expected] += 1
    document = _document(drift, show_values=show_values)
    run.screen.record(document)
    run.screen.line(_words(document))


def _document(drift: Drift, *, show_values: bool) -> dict[str, Any]:
    document = {"drift": drift.kind, "clerk_id": drift.clerk_id, "fields": list(drift.fields)}
    if not show_values:
        return document
    return {**document, "values": _values(drift)}


def _values(drift: Drift) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(drift.here, LocalUser):
        return {}
    return {
        name: {"here": getattr(drift.here, name), "at_clerk": getattr(drift.at_clerk, name)}
        for name in drift.fields
    }


def _words(document: Mapping[str, Any]) -> str:
    parts = [str(document["drift"]), document["clerk_id"], ", ".join(document["fields"])]
    values = document.get("values", {})
    lines = [
        f"    {name}: here {v['here']!r}, at Clerk {v['at_clerk']!r}" for name, v in values.items()
    ]
    return "\n".join(["  ".join(filter(None, parts)), *lines])
