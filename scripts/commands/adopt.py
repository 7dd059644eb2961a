"""`adopt`: the rows of an application's own table, linked to users of ours."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import typer

from domain.adoption import CONTRADICTORY, LINKABLE, HostTable, UnfitTable, Verdict
from scripts.commands.command import AsJson, Command, Run, Yes
from scripts.commands.ending import Refusal
from scripts.commands.screen import written
from service.exit_code import ExitCode

TableName = Annotated[
    str, typer.Argument(help="Your table or view, such as public.accounts.", metavar="TABLE")
]
IdColumn = Annotated[
    str, typer.Option("--id", help="The column of your ids: numbers, uuids or text.")
]
EmailColumn = Annotated[
    str | None, typer.Option("--email", help="The column of e-mail addresses, to link by these.")
]
ExternalIdColumn = Annotated[
    str | None,
    typer.Option(
        "--external-id",
        help="The column of what Clerk's users have as external_id, if it is not your id.",
    ),
]
VerifiedColumn = Annotated[
    str | None,
    typer.Option(
        "--verified",
        help="The column that tells whether you have verified an address: a boolean, or a time.",
    ),
]
AllVerified = Annotated[
    bool, typer.Option("--all-verified", help="You have verified every address of the table.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Write the links; without it, only report.")]
ShowRows = Annotated[
    bool, typer.Option("--show-rows", help="Show every row, and every user without one.")
]

WORDS: Mapping[Verdict, str] = {
    Verdict.BY_EXTERNAL_ID: "by external id",
    Verdict.BY_ADDRESS: "by verified address",
    Verdict.LINKED_BEFORE: "linked before",
    Verdict.CONFLICT: "conflict with another link",
    Verdict.AMBIGUOUS: "ambiguous",
    Verdict.UNVERIFIED: "address not verified on both sides",
    Verdict.NO_USER: "row without a user",
    Verdict.NO_ROW: "user without a row",
}


def adopt(
    table: TableName,
    *,
    row_id: IdColumn = "id",
    email: EmailColumn = None,
    external_id: ExternalIdColumn = None,
    verified: VerifiedColumn = None,
    all_verified: AllVerified = False,
    apply: Apply = False,
    show_rows: ShowRows = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Link the rows of your own table to users of Clerk; without --apply, say what would be linked.

    A row is linked by external id, or by a verified primary address that nobody else has.
    The links are kept in adopted_users. Your table is only read.
    """
    if verified and all_verified:
        raise typer.BadParameter("give --verified or --all-verified, not both")
    if email is None and (verified or all_verified):
        raise typer.BadParameter("--verified and --all-verified are about the addresses of --email")
    options = {
        "id": row_id,
        "email": email,
        "external_id": external_id,
        "verified": verified,
        "all_verified": all_verified,
    }
    command = Command(
        name="adopt",
        action="adopt",
        target=table,
        options=options,
        if_stopped="Either all links are written or none; run the same command again to be sure.",
        dry_run=not apply,
        preview="leave out --apply",
        yes=yes,
        as_json=as_json,
        counted=False,
    )
    command(partial(_work, table=table, options=options, show_rows=show_rows))


async def _work(
    run: Run, *, table: str, options: Mapping[str, str | bool | None], show_rows: bool
) -> ExitCode:
    try:
        theirs = HostTable(name=table, **options)  # type: ignore[arg-type]
        return await _adopt(run, theirs, show_rows=show_rows)
    except UnfitTable as error:
        raise Refusal(ExitCode.USAGE, f"Cannot adopt: {error}.") from None


async def _adopt(run: Run, table: HostTable, *, show_rows: bool) -> ExitCode:
    adoption = run.operations.store.adoption
    if show_rows:
        async for one in adoption.judged(table):
            run.screen.record(
                {"verdict": one.verdict, "row_id": one.row_id, "clerk_id": one.clerk_id}
            )
            row_id = written(one.row_id) if one.row_id else ""
            run.screen.line(f"{WORDS[one.verdict]}  {row_id}  {one.clerk_id or ''}")
    counts = await adoption.report(table) if run.dry_run or not run.yes else {}
    if not run.dry_run:
        run.require_consent(sum(counts.get(one, 0) for one in LINKABLE), "rows would be linked")
        counts = await adoption.link(table)
    _show(run, counts)
    if table.email and not (table.verified or table.all_verified):
        run.screen.say("No address counts as verified by you: say --verified or --all-verified.")
    if not set(counts) - {Verdict.NO_USER}:
        run.screen.say("No row matches any user. If our table is empty, run backfill first.")
    return ExitCode.BAD_DATA if any(counts.get(one) for one in CONTRADICTORY) else ExitCode.OK


def _show(run: Run, counts: Mapping[Verdict, int]) -> None:
    run.facts.update({str(verdict): counts.get(verdict, 0) for verdict in Verdict})
    link = "to be linked " if run.dry_run else "linked "
    rows = {
        (link if verdict in LINKABLE else "") + words: counts.get(verdict, 0)
        for verdict, words in WORDS.items()
    }
    title = "adopt, without --apply: nothing was written" if run.dry_run else "adopt"
    run.screen.table(title, rows)
    run.screen.record({"command": "adopt", "dry_run": run.dry_run, **run.facts})
