"""The keeper: a shell that runs the server's commands and stops the server when we end.

It reads commands from a pipe whose other end only this process holds. The kernel closes that end
however this process ends; the keeper then stops the server and removes what was temporary.
"""

import os
import shlex
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

from adapters.embedded_postgres.account import Account

# Signals are ignored because a service manager may send them to every process at once: only the
# end of the pipe ends the keeper. SIGPIPE too: this process may end before it reads an answer.
SCRIPT = """
trap '' HUP INT TERM PIPE
log=$1 farewell=$2; shift 2
while read -r command; do eval "$command" </dev/null >>"$log" 2>&1; echo $?; done
eval "$farewell" </dev/null >>"$log" 2>&1
rm -rf -- "$@"
"""


class Keeper:
    """Runs one command at a time, in `home`. `farewell` is its last one; then it deletes `remove`.

    The commands' environment holds `environment` and PATH. Ours is not passed on: it holds secrets,
    and PostgreSQL's own variables would interfere.
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

    def run(self, command: list[str]) -> bool:
        """Whether the command succeeded; its output is in the log."""
        commands, statuses = cast("IO[str]", self._shell.stdin), cast("IO[str]", self._shell.stdout)
        with self._turn:
            print(shlex.join(command), file=commands, flush=True)
            return statuses.readline() == "0\n"

    def close(self) -> None:
        """End the pipe and wait until the keeper has stopped the server and tidied up.

        A command that another thread runs is finished first.
        """
        with self._turn:
            self._shell.communicate()
