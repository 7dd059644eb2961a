"""`retain` deletes what the journal no longer keeps; `erase` deletes one user's bodies."""

from domain.retention import Retain
from scripts.commands.command import AsJson, Command, DryRun, Run
from scripts.commands.users import UserArgument
from service.exit_code import ExitCode


def retain(*, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Erase what is older than JOURNAL_BODY_DAYS, JOURNAL_DAYS and CHANGES_DAYS."""
    command = Command(
        name="retain",
        action="retain",
        if_stopped="The same command erases the rest.",
        dry_run=dry_run,
        as_json=as_json,
        counted=False,
    )
    command(_retain)


def erase(user: UserArgument, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Erase the bodies of one user's journal entries now. Deleting a user at Clerk does it too."""
    command = Command(
        name="erase",
        action="erase",
        users=(user,),
        if_stopped="Either all bodies are erased or none; run the same command again to be sure.",
        dry_run=dry_run,
        as_json=as_json,
        counted=False,
    )
    command(_erase)


async def _retain(run: Run) -> ExitCode:
    store = run.operations.store
    retain = Retain(store.retention, store.changes, run.settings.retention)
    expired = await (retain.due() if run.dry_run else retain())
    _show(
        run,
        {
            "bodies_erased": expired.bodies,
            "entries_removed": expired.entries,
            "changes_removed": expired.changes,
        },
    )
    return ExitCode.OK


async def _erase(run: Run) -> ExitCode:
    (user_id,) = run.users
    journal = run.operations.store.retention
    bodies = await (journal.bodies_of if run.dry_run else journal.erase_bodies)(user_id)
    _show(run, {"bodies_erased": bodies})
    return ExitCode.OK


def _show(run: Run, counts: dict[str, int]) -> None:
    run.facts.update(counts)
    title = f"{run.name}, dry run: nothing was written" if run.dry_run else run.name
    would = "to be " if run.dry_run else ""
    rows = {name.replace("_", f" {would}"): count for name, count in counts.items()}
    run.screen.table(title, rows)
    run.screen.record({"command": run.name, "dry_run": run.dry_run, **counts})
