"""The variables of libraries: those of `.env` count, and an empty name of authorities is none."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from service.environment import prepare
from tests.commands.terminal import Terminal
from tests.service.given_settings import ENVIRONMENT, ROOT, run

IN_A_DOTENV = """\
PGSSLMODE="verify-full"
PGHOST=of.the.file
PGUSER=of.the.file
PGPASSWORD=
OTEL_SERVICE_NAME=shop
SHOP=canary
"""


def test_those_of_a_dotenv_file_are_added_to_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(IN_A_DOTENV)
    monkeypatch.chdir(tmp_path)
    environment = {"PGHOST": "of.the.environment", "PGUSER": "", "HOME": "/"}
    prepare(environment)
    assert environment == {
        "PGSSLMODE": "verify-full",
        "PGHOST": "of.the.environment",
        "PGUSER": "of.the.file",
        "OTEL_SERVICE_NAME": "shop",
        "HOME": "/",
    }


async def test_a_demand_for_tls_in_a_dotenv_file_is_met_or_refused(
    store_url: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL={store_url}\nPGSSLMODE=require\n")
    ended = await asyncio.to_thread(run, "migrate", cwd=tmp_path)
    assert (ended.returncode, "offers no TLS" in ended.stderr) == (69, True), ended.stderr
    ended = await asyncio.to_thread(run, "migrate", cwd=tmp_path, PGSSLMODE="disable")
    assert ended.returncode == 0, ended.stderr


async def test_it_is_in_an_operators_command_too(store_url: str, tmp_path: Path) -> None:
    terminal = Terminal(ENVIRONMENT, tmp_path)
    (tmp_path / ".env").write_text(f"DATABASE_URL={store_url}\nPGSSLMODE=require\n")
    ended = await terminal.run("explain", "ada@example.com")
    assert (ended.code, "offers no TLS" in ended.stderr) == (69, True), ended.stderr


TRUSTED = """
import ssl, sys
from service.commands import run
run(["migrate", "--sql", "all"])
context = ssl.create_default_context()
print(ssl.get_default_verify_paths(), context.cert_store_stats(), file=sys.stderr)
"""


def trusted_with(directory: Path, **environment: str) -> str:
    """The authorities that a process of ours trusts after its start."""
    return subprocess.run(
        [sys.executable, "-c", TRUSTED],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stderr


def test_an_empty_name_of_authorities_is_none(tmp_path: Path) -> None:
    """`docker run --env-file` sets those that a copy of `.env.example` leaves empty."""
    of_this_machine = trusted_with(tmp_path)
    assert "openssl_cafile_env='SSL_CERT_FILE'" in of_this_machine
    assert trusted_with(tmp_path, SSL_CERT_FILE="", SSL_CERT_DIR="") == of_this_machine
