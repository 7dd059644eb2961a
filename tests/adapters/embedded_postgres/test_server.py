import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
from tests.adapters.embedded_postgres.servers import answers, ask, becomes_true, listens


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


@pytest.mark.parametrize("crash", [kill, kill_the_postmaster])
def test_it_knows_whether_it_is_running(
    kept: EmbeddedPostgres, crash: Callable[[EmbeddedPostgres], None]
) -> None:
    assert kept.is_running()
    crash(kept)
    assert becomes_true(lambda: not kept.is_running())
    kept.restart()
    assert kept.is_running()
