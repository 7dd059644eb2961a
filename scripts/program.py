"""Every command of `clerk-user-sync`, with examples and exit codes in its help."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from scripts.commands.entries import CHECKS, OPERATORS, Entry, add, epilog
from service import commands as service
from service import healthcheck as health
from service.exit_code import ExitCode
from service.extras import extra

NAME = "clerk-user-sync"

_STARTS = (ExitCode.OK, ExitCode.USAGE, ExitCode.UNAVAILABLE, ExitCode.MISCONFIGURED)
_SERVES = (*_STARTS, ExitCode.PORT_TAKEN)
_MIGRATES = (*_STARTS, ExitCode.IO_ERROR, ExitCode.INTERRUPTED, ExitCode.BROKEN_PIPE)


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


ENTRIES: Mapping[str, Entry] = {
    "serve": Entry(serve, ("serve", "serve  # with HOST=0.0.0.0 PORT=80"), _SERVES),
    "work": Entry(work, ("work  # with CHANGE_HANDLERS=shop.handlers:changes",), _SERVES),
    "migrate": Entry(
        migrate,
        ("migrate  # with DATABASE_URL, once per release", "migrate --sql", "migrate --sql all"),
        _MIGRATES,
    ),
    **OPERATORS,
    "healthcheck": Entry(healthcheck, ("healthcheck",), CHECKS),
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
    add(app, ENTRIES, NAME)
    _add_emulator(app)
    return app


def _add_emulator(app: typer.Typer) -> None:
    """Add the emulator's command, if the emulator is there: the image is built without it."""
    try:
        with extra("server", "The emulator"):
            from scripts.clerk_emulator.__main__ import main  # noqa: PLC0415
    except ImportError:
        return
    examples = ("emulator --port 8401 --webhook-url http://127.0.0.1:8000/webhooks/clerk",)
    app.command("emulator", epilog=epilog(Entry(main, examples, CHECKS), NAME))(main)


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
