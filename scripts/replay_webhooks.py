"""Makes the users table right again, and says why it was wrong.

`python -m scripts.replay_webhooks --help`, or `python scripts/replay_webhooks.py --help`.

Exit codes (sysexits): 0 done, 64 usage, 65 bad data, 69 the store or Clerk is unavailable, 74 its
output cannot be written, 75 another run is under way, 77 the key is wrong or another instance's,
78 the settings are wrong or the schema is behind, 130 stopped by Ctrl-C, 141 nobody reads what it
says. `doctor`: 1 where something is bad.
"""

import os
import signal
import sys
from pathlib import Path

if not __package__:
    # Run by its path: Python looks in this folder, and the packages are beside it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all this is imported: there is nothing to save and nothing to explain.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import typer

from scripts.commands.backfill import backfill
from scripts.commands.doctor import doctor
from scripts.commands.exit_codes import ExitCode
from scripts.commands.explain import explain
from scripts.commands.files import export, file
from scripts.commands.journal import journal
from scripts.commands.reconcile import reconcile
from scripts.commands.retention import erase, retain

COMMANDS = (backfill, reconcile, journal, file, export, explain, doctor, retain, erase)

_TYPERS_USAGE = 2


def command_line() -> typer.Typer:
    """The commands as one."""
    app = typer.Typer(
        help="Makes the users table right again, and says why it was wrong.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in COMMANDS:
        app.command()(command)
    app.callback()(_of_several)
    return app


def _of_several() -> None:
    """Typer would make a lone command nameless."""


def main() -> int:
    return run(command_line())


def run(app: typer.Typer) -> int:
    """Run a command line. Answers with the exit code; Ctrl-C ends in words, not a traceback."""
    _open_what_is_closed()
    was_deadly = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if was_deadly:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except SystemExit as ended:
        return ExitCode.USAGE if ended.code == _TYPERS_USAGE else int(ended.code or 0)
    finally:
        if was_deadly:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ExitCode.OK


def _open_what_is_closed() -> None:
    """Started with `>&-`, as some schedulers do, Python has None there."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: PTH123, SIM115 - as long as we are


if __name__ == "__main__":
    sys.exit(main())
