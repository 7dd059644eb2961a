"""Repairs the users table, and explains how it came to differ from Clerk.

`python -m scripts.replay_webhooks --help`, or `python scripts/replay_webhooks.py --help`.

The exit codes are in `service/exit_code.py` and in the help of every command.
"""

import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

if not __package__:
    # Run by its path: Python has this folder on its path, and the packages are in the one above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C during the imports below ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import typer
from pydantic import ValidationError

from scripts.commands.entries import OPERATORS, add
from service.environment import prepare
from service.exit_code import ExitCode

_TYPERS_USAGE = 2


def command_line() -> typer.Typer:
    """The command line with the operator's commands."""
    app = typer.Typer(
        help="Repairs the users table, and explains how it came to differ from Clerk.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    add(app, OPERATORS, "python -m scripts.replay_webhooks")
    return app


def main() -> int:
    return run(command_line())


def run(app: typer.Typer) -> int:
    """Run a command line. Returns the exit code, also after Ctrl-C."""
    _open_closed_streams()
    _show_every_character()
    with suppress(ValidationError):  # a command that needs settings tells it
        prepare(os.environ)
    was_default = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if was_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except SystemExit as ended:
        return ExitCode.USAGE if ended.code == _TYPERS_USAGE else int(ended.code or 0)
    finally:
        if was_default:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ExitCode.OK


def _open_closed_streams() -> None:
    """Python has None for a stream that is closed at the start (`>&-`), as some schedulers do."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: PTH123, SIM115 - open to the end


def _show_every_character() -> None:
    """A character that the encoding of stdout lacks is shown by its number, as on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
