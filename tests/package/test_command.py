"""The command `clerk-user-sync`, as the wheel installs it."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from scripts.program import ENTRIES, NAME, program
from tests.package.conftest import VERSION, Installed
from tests.postgres_server import temporary_database

COMMANDS = [*ENTRIES, "emulator"]

WITHOUT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from clerk_user_sync.{module} import main
sys.exit(main({arguments}))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_has_examples_and_exit_codes(name: str) -> None:
    said = CliRunner().invoke(
        program(), [*name.split(), "--help"], prog_name=NAME, env={"COLUMNS": "200"}
    )
    assert said.exit_code == 0, said.output
    assert f"Usage: clerk-user-sync {name}" in said.output
    assert f"clerk-user-sync {name}" in said.output.partition("Examples:")[2]
    assert "Exit codes: 0 done" in said.output


@pytest.mark.parametrize("name", ENTRIES)
def test_each_example_is_understood(name: str) -> None:
    """Each option of an example is one of its command."""
    command: Any = get_command(program())
    for word in name.split():
        command = command.commands[word]
    known = {option for parameter in command.params for option in parameter.opts}
    for example in ENTRIES[name].examples:
        words = example.partition("#")[0].split()
        assert words[: len(name.split())] == name.split()
        assert {word for word in words if word.startswith("-")} <= known


def test_it_says_its_version_and_lists_its_commands(installed: Installed, tmp_path: Path) -> None:
    said = installed.run(installed.command, "--help", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert all(f" {name.partition(' ')[0]} " in said.stdout for name in COMMANDS)
    said = installed.run(installed.command, "--version", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (0, f"clerk-user-sync {VERSION}\n")


def test_it_completes_its_commands_in_a_shell(installed: Installed, tmp_path: Path) -> None:
    asked = {"_CLERK_USER_SYNC_COMPLETE": "complete_bash", "COMP_WORDS": "clerk-user-sync re"}
    said = installed.run(installed.command, cwd=tmp_path, COMP_CWORD="1", **asked)
    assert said.stdout.split() == ["reconcile", "retain"]


def test_an_unknown_command_is_wrong_usage(installed: Installed, tmp_path: Path) -> None:
    assert installed.run(installed.command, "nope", cwd=tmp_path).returncode == os.EX_USAGE


def test_serve_and_doctor_name_what_is_not_set(installed: Installed, tmp_path: Path) -> None:
    serve = installed.run(installed.command, "serve", cwd=tmp_path)
    assert serve.returncode == os.EX_CONFIG
    assert "CLERK_SECRET_KEY: " in serve.stderr
    doctor = installed.run(installed.command, "doctor", cwd=tmp_path)
    assert doctor.returncode == 1
    assert "CLERK_SECRET_KEY" in doctor.stdout


async def test_migrate_needs_the_database_alone(
    installed: Installed, tmp_path: Path, postgres_url: str
) -> None:
    async with temporary_database(postgres_url, f"package_{os.getpid()}") as url:
        migrated = await asyncio.to_thread(
            installed.run, installed.command, "migrate", cwd=tmp_path, DATABASE_URL=url
        )
        printed = await asyncio.to_thread(
            installed.run, installed.command, "migrate", "--sql", cwd=tmp_path, DATABASE_URL=url
        )
    assert (migrated.returncode, migrated.stdout) == (0, "The schema is at head.\n")
    assert (printed.returncode, printed.stdout) == (0, "-- The schema is at head.\n")


def test_healthcheck_answers_1_where_nothing_listens(installed: Installed, tmp_path: Path) -> None:
    assert installed.run(installed.command, "healthcheck", cwd=tmp_path, PORT="1").returncode == 1


MISSING = {
    "The command line needs": (["typer", "rich"], "scripts.command_line", ""),
    "The server needs uvicorn": (["uvicorn"], "__main__", "['serve']"),
}


@pytest.mark.parametrize("words", MISSING)
def test_a_missing_extra_is_named_in_one_sentence(
    words: str, installed: Installed, tmp_path: Path
) -> None:
    missing, module, arguments = MISSING[words]
    program = WITHOUT.format(missing=missing, module=module, arguments=arguments)
    said = installed.run(installed.python, "-c", program, cwd=tmp_path)
    assert said.returncode == os.EX_CONFIG
    assert said.stderr.startswith(words)
    assert "pip install 'clerk-user-sync[" in said.stderr
    assert said.stderr.count("\n") == 1
