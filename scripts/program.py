"""Every command of `clerk-user-sync`, with examples and exit codes in its help."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from scripts.commands import changes
from scripts.commands.adopt import adopt
from scripts.commands.backfill import backfill
from scripts.commands.dismiss import dismiss
from scripts.commands.doctor import doctor
from scripts.commands.exit_codes import ExitCode
from scripts.commands.explain import explain
from scripts.commands.files import export, file
from scripts.commands.journal import journal
from scripts.commands.reconcile import reconcile
from scripts.commands.retention import erase, retain
from service import commands as service
from service import healthcheck as health
from service.extras import extra

NAME = "clerk-user-sync"

_STARTS = (ExitCode.OK, ExitCode.USAGE, ExitCode.UNAVAILABLE, ExitCode.MISCONFIGURED)
_SERVES = (*_STARTS, ExitCode.PORT_TAKEN)
_CHECKS = (ExitCode.OK, ExitCode.NOT_WELL, ExitCode.USAGE)
_NOT_OF_ALL = (ExitCode.NOT_WELL, ExitCode.DRIFT, ExitCode.PORT_TAKEN)
_OPERATES = tuple(code for code in ExitCode if code not in _NOT_OF_ALL)


def serve() -> None:
    """Run the service until SIGTERM or Ctrl-C. Settings come from the environment and .env."""
    raise typer.Exit(service.run(["serve"]))


def work() -> None:
    """Deliver changes, as the settings say, until SIGTERM or Ctrl-C, and nothing else."""
    raise typer.Exit(service.run(["work"]))


def migrate(
    which: Annotated[
        Literal["missing", "all"],
        typer.Argument(help="What --sql prints: the missing statements, or all for a new database"),
    ] = "missing",
    *,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL instead of running it, and change nothing")
    ] = False,
) -> None:
    """Bring the schema to this release's version. It needs only the settings of the database."""
    if which == "all" and not sql:
        raise typer.BadParameter("only with --sql")
    printed = {"missing": ["--sql"], "all": ["--sql", "all"]}[which]
    raise typer.Exit(service.run(["migrate", *(printed if sql else [])]))


def healthcheck() -> None:
    """Exit with 0 if the service on this machine's PORT answers, otherwise with 1."""
    raise typer.Exit(health.main())


@dataclass(frozen=True)
class Entry:
    """A command, with the examples and exit codes for its help. `examples` omit the program."""

    function: Callable[..., None]
    examples: tuple[str, ...]
    exit_codes: tuple[ExitCode, ...] = _OPERATES


ENTRIES: Mapping[str, Entry] = {
    "serve": Entry(serve, ("serve", "serve  # with HOST=0.0.0.0 PORT=80"), _SERVES),
    "work": Entry(work, ("work  # with CHANGE_HANDLERS=shop.handlers:changes",), _SERVES),
    "migrate": Entry(
        migrate,
        ("migrate  # with DATABASE_URL, once per release", "migrate --sql", "migrate --sql all"),
        _STARTS,
    ),
    "doctor": Entry(doctor, ("doctor", "doctor --json"), (*_CHECKS, ExitCode.INTERRUPTED)),
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
    "healthcheck": Entry(healthcheck, ("healthcheck",), _CHECKS),
}


def program() -> typer.Typer:
    """The command line with all commands."""
    app = typer.Typer(
        name=NAME,
        help="Keeps your own Postgres users table in agreement with Clerk.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    groups = {"changes": changes_group()}
    app.add_typer(groups["changes"], name="changes")
    for name, entry in ENTRIES.items():
        group, _, verb = name.rpartition(" ")
        where = groups[group] if group else app
        where.command(verb, epilog=_epilog(entry))(entry.function)
    _add_emulator(app)
    return app


def changes_group() -> typer.Typer:
    """The group of commands about changes, still empty."""
    words = "Look at the changes of users and at the subscriptions to them, and act on them."
    return typer.Typer(help=words, no_args_is_help=True)


def _add_emulator(app: typer.Typer) -> None:
    """Add the emulator's command, if the emulator is there: the image is built without it."""
    try:
        with extra("server", "The emulator"):
            from scripts.clerk_emulator.__main__ import main  # noqa: PLC0415
    except ImportError:
        return
    examples = ("emulator --port 8401 --webhook-url http://127.0.0.1:8000/webhooks/clerk",)
    app.command("emulator", epilog=_epilog(Entry(main, examples, _CHECKS)))(main)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer's signature
    if asked:
        print(f"{NAME} {version(NAME)}")
        raise typer.Exit


def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options before the command."""


def _epilog(entry: Entry) -> str:
    """Typer prints each paragraph on its own line."""
    codes = ", ".join(f"{code:d} {code.meaning}" for code in entry.exit_codes)
    examples = (f"{NAME} {example}" for example in entry.examples)
    return "\n\n".join(("Examples:", *examples, f"Exit codes: {codes}."))
