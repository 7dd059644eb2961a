"""The keeper: a shell that runs the server's commands, and stops the server when this process ends.

It reads commands from a pipe whose other end only this process holds: a forked child lets go of it.
The kernel closes that end however this process ends; the keeper then stops the server and deletes
temporary directories.
"""

import os
import shlex
import subprocess
import threading
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, cast

from adapters.embedded_postgres.account import Account

# The keeper ignores signals, which a service manager may send to all processes at once: only the
# end of the pipe ends it. SIGPIPE too, because this process may end before it reads an answer.
SCRIPT = """
trap '' HUP INT TERM PIPE
log=$1 farewell=$2; shift 2
while read -r command; do eval "$command" </dev/null >>"$log" 2>&1; echo $?; done
eval "$farewell" </dev/null >>"$log" 2>&1
rm -rf -- "$@"
"""


class Keeper:
    """Runs one command at a time, in `home`. At the end it runs `farewell` and deletes `remove`.

    The commands get `environment` and PATH. Our own environment is not passed on: it has secrets,
    and variables of PostgreSQL that would interfere.
    """

    def __init__(
        self,
        account: Account,
        *,
        home: Path,
        lock: int,
        log: Path,
        environment: Mapping[str, str],
        farewell: str,
        remove: list[Path],
    ) -> None:
        self._turn = threading.Lock()
        path = os.pathsep.join([os.environ.get("PATH", ""), os.defpath])
        self._shell = subprocess.Popen(  # noqa: S603 - a constant program; its arguments are quoted
            [*account.prefix, "/bin/sh", "-c", SCRIPT, "keeper", log, farewell, *remove],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=home,
            env={"PATH": path, "LC_ALL": "C", "TZ": "UTC", **environment},
            umask=0o077,
            pass_fds=[lock],
            start_new_session=True,
        )
        os.register_at_fork(after_in_child=partial(_let_go, weakref.ref(self._shell)))

    def run(self, command: list[str]) -> bool:
        """Run the command, with its output in the log. Returns whether it succeeded."""
        commands, statuses = cast("IO[str]", self._shell.stdin), cast("IO[str]", self._shell.stdout)
        with self._turn:
            print(shlex.join(command), file=commands, flush=True)
            return statuses.readline() == "0\n"

    def close(self) -> None:
        """Close the pipe, and wait until the keeper has stopped the server and deleted `remove`.

        A command of another thread is finished first.
        """
        with self._turn:
            self._shell.communicate()


def _let_go(shell: "weakref.ref[subprocess.Popen[str]]") -> None:
    """In a forked child, put nothing in the place of our pipes.

    If they were closed, a file of the child could get the number of one, and be closed with it.
    """
    held = shell()
    nothing = os.open(os.devnull, os.O_RDWR)
    for pipe in (held.stdin, held.stdout) if held else ():
        if pipe and not pipe.closed:
            os.dup2(nothing, pipe.fileno(), inheritable=False)
    os.close(nothing)
