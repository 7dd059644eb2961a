"""`reconcile`: compare our table with Clerk, and repair it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer

from domain.drift import Drift, DriftKind, Findings
from domain.reconcile import ReconcileOptions, TombstoneLimit
from domain.user import LocalUser, UserId
from domain.words import count_of
from scripts.commands.command import AsJson, Command, DryRun, Run, end_on_the_trail
from scripts.commands.screen import written
from service.exit_code import ExitCode
from service.services import reconcile_of

Full = Annotated[
    bool,
    typer.Option(
        "--full", help="Compare all users of both sides, not only those that Clerk updated since."
    ),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Write Clerk's state of the users that differ.")
]
ShowValues = Annotated[
    bool, typer.Option("--show-values", help="Show both values of each differing field.")
]
AllowDeletions = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="NUMBER",
        help="Tombstone up to this many rows, instead of 50 or 1 % of the live ones.",
    ),
]
TrustClerk = Annotated[
    list[str] | None,
    typer.Option(
        metavar="USER",
        help="Overwrite the row of that user even if it is ahead of Clerk. Repeatable; with --full "
        "--repair.",
    ),
]


def reconcile(
    *,
    full: Full = False,
    repair: Repair = False,
    show_values: ShowValues = False,
    allow_deletions: AllowDeletions = None,
    trust_clerk: TrustClerk = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Report the users that differ from Clerk; with --repair, write Clerk's state."""
    if trust_clerk and not (full and repair):
        raise typer.BadParameter("needs --full --repair", param_hint="--trust-clerk")
    command = Command(
        name="reconcile",
        action="reconcile",
        users=trust_clerk or (),
        users_option="trust_clerk",
        options={"full": full, "allow_deletions": allow_deletions},
        if_stopped="Repaired rows stay repaired; the same command starts over and finds the rest.",
        dry_run=dry_run or not repair,
        dry_run_title=Command.dry_run_title if dry_run else "without --repair: no user was written",
        as_json=as_json,
    )
    options = ReconcileOptions(
        repair=repair and not dry_run,
        tombstone_limit=TombstoneLimit(allowed=allow_deletions),
        remember=not dry_run,
    )
    work = partial(_work, full=full, show_values=show_values, options=options)
    command(partial(_trusting, work=work, options=options))


async def _trusting(
    run: Run, *, work: Callable[..., Awaitable[ExitCode]], options: ReconcileOptions
) -> ExitCode:
    """`work` with the users who are named. Each override is on the audit trail, on its own."""
    users = frozenset(run.users)
    overridden: dict[UserId, Drift] = {}

    def note(drift: Drift) -> None:
        if drift.kind is DriftKind.AHEAD:
            overridden[drift.clerk_id] = drift

    audit = run.operations.store.audit
    begun = {
        user: await audit.begin(who=run.who, action="trust clerk", target=user, detail={})
        for user in sorted(users)
        if not run.dry_run
    }
    otherwise = "the run ended before its row was overridden"
    try:
        code = await work(run, options=replace(options, trust_clerk=users, on_repaired=note))
        otherwise = "nothing overridden: the row is not ahead of Clerk"
    finally:
        for user, action_id in begun.items():
            result, detail = _override(overridden.get(user), otherwise)
            await end_on_the_trail(audit, action_id, result, detail)
            run.screen.say(f"{user}: {result}")
    return code


def _override(drift: Drift | None, otherwise: str) -> tuple[str, Mapping[str, str]]:
    if drift is None or not isinstance(drift.here, LocalUser) or drift.at_clerk is None:
        return otherwise, {}
    versions = {
        "version_here": drift.here.clerk_updated_at.isoformat(),
        "version_at_clerk": drift.at_clerk.clerk_updated_at.isoformat(),
    }
    return "overridden with Clerk's version", versions


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
    """`DRIFT` if differences are left, repaired or not; `BAD_DATA` if users cannot be kept."""
    if findings.held_back:
        run.screen.say(
            f"{findings.held_back} rows are no longer at Clerk: too many to tombstone without "
            f"consent. If that is right: --full --repair --allow-deletions {findings.held_back}"
        )
    for kind, why in _NOT_REPAIRED.items():
        if left := findings.found[kind] - findings.repaired[kind]:
            run.screen.say(f"{count_of(left, 'row')} cannot be repaired: {why}")
    if run.tally["failed"]:
        return ExitCode.BAD_DATA
    return ExitCode.DRIFT if findings.left else ExitCode.OK


_NOT_REPAIRED = {
    DriftKind.AHEAD: "our version is newer than Clerk's, and the newer one is kept. If Clerk is "
    "right: --full --repair --trust-clerk USER",
    DriftKind.TOMBSTONED: "our row is a tombstone, although Clerk has the user",
}


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
        f"    {name}: here {written(v['here'])}, at Clerk {written(v['at_clerk'])}"
        for name, v in values.items()
    ]
    return "\n".join(["  ".join(filter(None, parts)), *lines])
