"""`python -m service`: wrong settings end it with 78, and `migrate` needs only those of the store."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pydantic import ValidationError

from domain.errors import StorageUnavailable
from scripts.clerk_emulator import EmulatorConfig
from service.bootstrap.settings import read_settings
from service.bootstrap.store import migrate_store
from testing import settings_for
from tests.postgres_server import temporary_database
from tests.service.given_settings import ENVIRONMENT, GOOD, ROOT, Ended, run, settings


@pytest.fixture(scope="module")
def danced(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A command that does not exist."""
    return run("dance", cwd=tmp_path_factory.mktemp("danced"), **ENVIRONMENT)


class TestCommand:
    def test_with_nothing_set_tells_every_mistake_and_exits_with_78(self, tmp_path: Path) -> None:
        ended = run(cwd=tmp_path)
        assert ended.returncode == 78
        assert [line.strip().partition(":")[0] for line in ended.stderr.splitlines()[1:]] == [
            "CLERK_SECRET_KEY",
            "CLERK_ISSUER",
            "CLERK_WEBHOOK_SIGNING_SECRET",
        ]
        assert ended.stdout == ""

    def test_that_is_unknown_exits_with_64(self, danced: Ended) -> None:
        assert danced.returncode == 64
        assert danced.stderr == "usage: python -m service [serve | work | migrate [--sql [all]]]\n"

    def test_names_what_is_no_setting_and_shows_no_value(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("CLERK_WEBHOOK_SECRET=canary\n")
        slips = {
            "CLERK_AUTHORIZED_PARTY": "canary",
            "CONSOLE_OPERATOR_TOKN": "canary",
            "LOG_FORMAT": "json",
        }
        nowhere = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"
        ended = run("migrate", cwd=tmp_path, DATABASE_URL=nowhere, **ENVIRONMENT, **slips)
        told = json.loads(ended.stdout)
        assert told["level"] == "warning"
        assert told["event"] == (
            "unknown settings: CLERK_AUTHORIZED_PARTY (is CLERK_AUTHORIZED_PARTIES meant?), "
            "CLERK_WEBHOOK_SECRET, CONSOLE_OPERATOR_TOKN (is CONSOLE_OPERATOR_TOKEN meant?)"
        )

    def test_migrate_without_a_store_exits_with_69(self, tmp_path: Path) -> None:
        nowhere = "postgresql://nobody:canary@127.0.0.1:1/nowhere"
        ended = run("migrate", cwd=tmp_path, DATABASE_URL=nowhere, **ENVIRONMENT)
        assert (ended.returncode, ended.stdout) == (69, ""), ended.stderr
        assert ended.stderr.splitlines() == [
            "migrate: database nowhere on 127.0.0.1:1",
            "The store cannot be migrated now: nothing listens there (ConnectionRefusedError)",
        ]

    @pytest.mark.parametrize("command", [["serve"], ["migrate"]])
    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("postgresql://app@my:canary@127.0.0.1:5432/app", "write % as %25, @ as %40"),
            ("postgresql://app:se[canary]x@h/app", "[ as %5B"),
            ("postgresql://u:canary@h/d?sslmode=verify-full", "sslmode: give sslrootcert="),
            ("postgresql://u:canary@h/d?target=canary", "target: this option is not supported"),
        ],
    )
    def test_with_an_address_that_cannot_be_used_exits_with_78(
        self, tmp_path: Path, command: list[str], url: str, words: str
    ) -> None:
        ended = run(*command, cwd=tmp_path, DATABASE_URL=url, **ENVIRONMENT)
        assert (ended.returncode, ended.stdout) == (78, ""), ended.stderr
        (line,) = ended.stderr.splitlines()[1:]
        assert line.startswith("  DATABASE_URL: ")
        assert words in line
        assert "canary" not in line


async def test_a_store_that_refuses_us_cannot_be_migrated(postgres_url: str) -> None:
    scheme, _, rest = postgres_url.partition("://")
    wrong = f"{scheme}://nobody:canary@{rest.rpartition('@')[2]}"
    with pytest.raises(StorageUnavailable) as caught:
        await migrate_store(settings(database_url=wrong))
    assert "canary" not in str(caught.value)


def test_our_settings_may_have_a_prefix_which_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`PORT` may be a setting of the host's."""
    monkeypatch.setenv("PORT", "1111")
    assert settings().port == 1111
    monkeypatch.setenv("CLERK_USER_SYNC_PORT", "2222")
    assert settings().port == 2222
    file = tmp_path / ".env"
    file.write_text("CLERK_USER_SYNC_DATABASE_SCHEMA=clerk\nCLERK_USER_SYNC_PORT=3333\n")
    told = read_settings(_env_file=file, **GOOD)
    assert (told.database_schema, told.port) == ("clerk", 2222)
    monkeypatch.delenv("CLERK_USER_SYNC_PORT")
    assert read_settings(_env_file=file, **GOOD).port == 3333
    file.write_text("PORT=4444\n")
    assert read_settings(_env_file=file, **GOOD).port == 1111


def test_what_kubernetes_sets_for_a_service_is_no_port_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a Service named `clerk-user-sync`, and for one named `metrics`."""
    monkeypatch.setenv("PORT", "8001")
    monkeypatch.setenv("CLERK_USER_SYNC_PORT", "tcp://10.96.0.9:80")
    monkeypatch.setenv("METRICS_PORT", "udp://10.96.0.10:9090")
    told = settings()
    assert (told.port, told.metrics_port) == (8001, None)
    monkeypatch.setenv("CLERK_USER_SYNC_METRICS_PORT", "9090")
    assert settings().metrics_port == 9090


@pytest.mark.parametrize("name", ['a"b', "a'b", "a,b", "1a", "x" * 64])
def test_a_schema_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name of one schema"):
        settings(database_schema=name)


def test_an_empty_schema_of_a_hosts_fixture_is_none() -> None:
    assert settings_for(EmulatorConfig(), "postgresql://u@h/d", "").database_schema is None


async def test_to_migrate_the_database_is_enough(postgres_url: str, tmp_path: Path) -> None:
    async with temporary_database(postgres_url, f"alone_{uuid4().hex}") as url:
        told = {"DATABASE_URL": url, "DATABASE_SCHEMA": "clerk"}
        written = await asyncio.to_thread(run, "migrate", "--sql", cwd=tmp_path, **told)
        assert (written.returncode, written.stderr) == (0, "")
        assert 'create schema "clerk"' in written.stdout
        done = await asyncio.to_thread(run, "migrate", cwd=tmp_path, **told)
        assert (done.returncode, done.stdout) == (0, "The schema is at head.\n")
        written = await asyncio.to_thread(run, "migrate", "--sql", cwd=tmp_path, **told)
        assert written.stdout == "-- The schema is at head.\n"
        written = await asyncio.to_thread(
            run, "migrate", "--sql", cwd=tmp_path, CLERK_WEBHOOK_SECRET="wrong", **told
        )
        assert written.stdout == "-- The schema is at head.\n"
        assert "unknown settings: CLERK_WEBHOOK_SECRET" in written.stderr


def unheard(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """The exit code and stdout of `python -m service` where stderr cannot be written."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "service", *arguments],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            check=False,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=100,
        )
    return ended.returncode, ended.stdout


async def test_migrate_does_its_work_where_stderr_cannot_be_written(
    postgres_url: str, tmp_path: Path
) -> None:
    async with temporary_database(postgres_url, f"unheard_{uuid4().hex}") as url:
        ended = await asyncio.to_thread(unheard, "migrate", cwd=tmp_path, DATABASE_URL=url)
        assert ended == (0, "The schema is at head.\n")


def test_a_refusal_keeps_its_exit_code_where_stderr_cannot_be_written(tmp_path: Path) -> None:
    assert unheard("dance", cwd=tmp_path) == (64, "")


async def test_a_table_in_the_way_ends_migrate_with_78(postgres_url: str, tmp_path: Path) -> None:
    async with temporary_database(postgres_url, f"taken_{uuid4().hex}") as url:
        connection = await asyncpg.connect(url)
        await connection.execute("create table users (id bigint)")
        await connection.close()
        ended = await asyncio.to_thread(run, "migrate", cwd=tmp_path, DATABASE_URL=url)
        assert ended.returncode == 78
        assert "name of ours: users: set DATABASE_SCHEMA" in ended.stderr
