"""`| head`: a reader that stops early is not an error; a full disk is."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.commands.arrivals import quarantined
from tests.commands.terminal import ROOT, Terminal

pytestmark = pytest.mark.slow


OPERATORS = "scripts.replay_webhooks"
MIGRATE = "service migrate"


async def headed(
    terminal: Terminal, command: str, lines: int = 1, *, of: str = OPERATORS
) -> tuple[int, bytes]:
    """The command's exit code and its stderr, if only this many lines of its output are read."""
    return await asyncio.to_thread(_headed, terminal, f"{of} {command}", lines)


def _headed(terminal: Terminal, command: str, lines: int) -> tuple[int, bytes]:
    process = subprocess.Popen(
        f"{sys.executable} -m {command}".split(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=terminal.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **terminal.environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(), said


def ended_quietly(code: int, said: bytes) -> bool:
    """141, as a shell says of a broken pipe, and no more than what the command works on."""
    return code == 141 and re.fullmatch(rb"[a-z]+: database .+\n", said) is not None


@pytest.mark.parametrize("options", ["--full", "--full --json"])
async def test_a_report_whose_reader_stops_ends_quietly(
    clerk: ClerkEmulator, terminal: Terminal, store_url: str, options: str
) -> None:
    clerk.create_users(3000)
    assert ended_quietly(*await headed(terminal, f"reconcile {options}"))


async def test_an_export_whose_reader_stops_succeeds(
    terminal: Terminal, database: Database
) -> None:
    for number in range(60):
        await quarantined(database, b"x" * 10_000, svix_id=f"msg_{number}")
    code, said = await headed(terminal, "export")
    assert (code, b"Traceback" in said) == (0, False)


@pytest.mark.parametrize(
    "command",
    ["backfill", "backfill --json", "reconcile --full", "journal", "retain", "doctor"],
)
async def test_a_table_without_a_reader_ends_quietly(
    clerk: ClerkEmulator, terminal: Terminal, store_url: str, command: str
) -> None:
    clerk.create_users(1)
    assert ended_quietly(*await headed(terminal, command, lines=0))


async def test_sql_without_a_reader_ends_quietly(terminal: Terminal) -> None:
    assert await headed(terminal, "--sql all", lines=0, of=MIGRATE) == (141, b"")


async def test_a_migration_without_a_reader_ends_quietly(
    terminal: Terminal, store_url: str
) -> None:
    assert ended_quietly(*await headed(terminal, "", lines=0, of=MIGRATE))


async def test_a_replay_whose_reader_stops_ends_quietly(terminal: Terminal, store_url: str) -> None:
    (terminal.directory / "many.jsonl").write_bytes(b"{}\n" * 3000)
    code, said = await headed(terminal, "file many.jsonl --json --yes")
    assert (code, b"cannot be read" in said) == (141, False)


FULL = [
    *("backfill", "journal --json", "doctor --json", "file one.jsonl --json"),
    *("export", "export /dev/full"),
]


@pytest.mark.parametrize(
    "command",
    [*(f"{OPERATORS} {one}" for one in FULL), MIGRATE, f"{MIGRATE} --sql all"],
)
async def test_a_full_disk_is_said_to_be_one(
    terminal: Terminal, database: Database, command: str
) -> None:
    await quarantined(database, b"x")
    (terminal.directory / "one.jsonl").write_bytes(b"{}\n")
    process = await asyncio.create_subprocess_shell(
        f"exec {sys.executable} -m {command} >/dev/full",
        stderr=asyncio.subprocess.PIPE,
        cwd=terminal.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **terminal.environment},
    )
    _, said = await process.communicate()
    last = said.decode().splitlines()[-1]
    assert (process.returncode, last) == (74, "Input or output: No space left on device")
    assert b"Traceback" not in said


@pytest.mark.parametrize("stderr", ["full", "without a reader"])
async def test_a_message_that_cannot_be_written_ends_nothing(
    terminal: Terminal, store_url: str, stderr: str
) -> None:
    if stderr == "full":
        unwritable = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, unwritable = os.pipe()
        os.close(reader)
    (terminal.directory / "one.jsonl").write_bytes(b"{}\n")
    process = await asyncio.create_subprocess_exec(
        *f"{sys.executable} -m {OPERATORS} file one.jsonl --json".split(),
        stdout=asyncio.subprocess.PIPE,
        stderr=unwritable,
        cwd=terminal.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **terminal.environment},
    )
    os.close(unwritable)
    shown, _ = await process.communicate()
    assert (process.returncode, b'"exit_code":65' in shown) == (65, True)


@pytest.mark.parametrize("command", ["doctor", "journal", "export", "explain user_1"])
async def test_nothing_breaks_where_nothing_is_open(
    terminal: Terminal, store_url: str, command: str
) -> None:
    script = f"exec {sys.executable} -m scripts.replay_webhooks {command} <&- >&- 2>&-"
    process = await asyncio.create_subprocess_shell(
        script,
        cwd=terminal.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **terminal.environment},
    )
    assert await process.wait() == (65 if command.startswith("explain") else 0)
