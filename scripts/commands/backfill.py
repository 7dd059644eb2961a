"""`backfill`: copy all users of the Clerk instance."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import typer

from domain.ports import LeftOut
from scripts.commands.command import AsJson, Command, DryRun, Run
from service.exit_code import ExitCode
from service.services import backfill_of

Restart = Annotated[
    bool, typer.Option("--restart", help="Start at the first user, not where the last run stopped.")
]


def backfill(*, restart: Restart = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Copy every user of the Clerk instance; the next run resumes an interrupted one."""
    command = Command(
        name="backfill",
        action="backfill",
        options={"restart": restart},
        if_stopped="Every page written is saved; the same command resumes there.",
        dry_run=dry_run,
        as_json=as_json,
    )
    command(partial(_work, restart=restart))


async def _work(run: Run, *, restart: bool) -> ExitCode:
    use_case = backfill_of(run.operations.store, run.operations.clerk)
    if restart and not run.dry_run:
        await use_case.restart()
    total = await run.operations.clerk.bulk.count()
    with run.screen.progress("users", total) as advance:
        work = use_case.preview if run.dry_run else use_case.run
        await work(partial(_count, run, advance))
    return ExitCode.BAD_DATA if run.tally["failed"] else ExitCode.OK


def _count(
    run: Run,
    advance: Callable[[int], None],
    outcomes: Sequence[str],
    left_out: Sequence[LeftOut],
) -> None:
    run.tally.update(outcomes)
    run.report_left_out(left_out)
    advance(len(outcomes) + len(left_out))
