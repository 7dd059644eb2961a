"""The operator's commands by name, with the examples and exit codes for their help."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import typer

from scripts.commands import changes
from scripts.commands.adopt import adopt
from scripts.commands.backfill import backfill
from scripts.commands.dismiss import dismiss
from scripts.commands.doctor import doctor
from scripts.commands.explain import explain
from scripts.commands.files import export, file
from scripts.commands.journal import journal
from scripts.commands.reconcile import reconcile
from scripts.commands.retention import erase, retain
from service.exit_code import ExitCode

CHECKS = (ExitCode.OK, ExitCode.NOT_WELL, ExitCode.USAGE)
_LOOKS = (*CHECKS, ExitCode.IO_ERROR, ExitCode.INTERRUPTED, ExitCode.BROKEN_PIPE)
_NOT_OF_ALL = (ExitCode.NOT_WELL, ExitCode.DRIFT, ExitCode.PORT_TAKEN)
_OPERATES = tuple(code for code in ExitCode if code not in _NOT_OF_ALL)


@dataclass(frozen=True)
class Entry:
    """A command, with the examples and exit codes for its help. `examples` omit the program."""

    function: Callable[..., None]
    examples: tuple[str, ...]
    exit_codes: tuple[ExitCode, ...] = _OPERATES


OPERATORS: Mapping[str, Entry] = {
    "doctor": Entry(doctor, ("doctor", "doctor --json"), _LOOKS),
    "backfill": Entry(backfill, ("backfill", "backfill --dry-run")),
    "reconcile": Entry(
        reconcile,
        (
            "reconcile",
            "reconcile --full --repair",
            "reconcile --full --repair --trust-clerk user_2abc",
        ),
        (*_OPERATES, ExitCode.DRIFT),
    ),
    "journal": Entry(journal, ("journal --outcome quarantined --dry-run",)),
    "dismiss": Entry(
        dismiss,
        (
            'dismiss msg_2abc --reason "a test event"',
            'dismiss --cause not_json --reason "sent by an old tool" --dry-run',
        ),
    ),
    "file": Entry(file, ("file deliveries.jsonl --dry-run",)),
    "export": Entry(export, ("export --since 2d > deliveries.jsonl",)),
    "explain": Entry(explain, ("explain user_2abc", "explain user_2abc --live")),
    "changes tail": Entry(changes.tail, ("changes tail", "changes tail --follow --json")),
    "changes list": Entry(changes.list_, ("changes list", "changes list welcome-mail")),
    "changes retry": Entry(changes.retry, ("changes retry welcome-mail --position 1042",)),
    "changes skip": Entry(changes.skip, ("changes skip welcome-mail --position 1042",)),
    "changes rewind": Entry(changes.rewind, ("changes rewind welcome-mail --to oldest",)),
    "changes resume": Entry(changes.resume, ("changes resume crm",)),
    "changes remove": Entry(changes.remove, ("changes remove welcome-mail",)),
    "adopt": Entry(
        adopt,
        (
            "adopt public.accounts",
            "adopt public.accounts --email email --verified email_confirmed_at --apply",
        ),
    ),
    "retain": Entry(retain, ("retain --dry-run",)),
    "erase": Entry(erase, ("erase user_2abc --dry-run",)),
}


def add(app: typer.Typer, entries: Mapping[str, Entry], program: str) -> None:
    """Add the commands of this program, those that are named `changes …` in a group."""
    words = "Look at the changes of users and at the subscriptions to them, and act on them."
    group = typer.Typer(help=words, no_args_is_help=True)
    app.add_typer(group, name="changes")
    for name, entry in entries.items():
        about, _, verb = name.rpartition(" ")
        (group if about else app).command(verb, epilog=epilog(entry, program))(entry.function)


def epilog(entry: Entry, program: str) -> str:
    """The end of a command's help. Typer prints each paragraph on its own line."""
    codes = ", ".join(f"{code:d} {code.meaning}" for code in entry.exit_codes)
    examples = (f"{program} {example}" for example in entry.examples)
    return "\n\n".join(("Examples:", *examples, f"Exit codes: {codes}."))
