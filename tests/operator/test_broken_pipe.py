"""`| head`: a reader who has enough is no mistake."""

import asyncio
import os
import subprocess
import sys

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.operator.arrivals import quarantined
from tests.operator.terminal import ROOT, Terminal

pytestmark = pytest.mark.slow


async def headed(terminal: Terminal, command: str) -> tuple[int, bytes]:
    """The command's own exit code, and what it said on stderr, when one line is read of it."""
    return await asyncio.to_thread(_headed, terminal, command)


def _headed(terminal: Terminal, command: str) -> tuple[int, bytes]:
    process = subprocess.Popen(
        f"{sys.executable} -m scripts.replay_webhooks {command}".split(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=terminal.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **terminal.environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(), said


@pytest.mark.parametrize("options", ["--full", "--full --json"])
async def test_a_report_that_nobody_reads_to_the_end_ends_quietly(
    clerk: ClerkEmulator, terminal: Terminal, store_url: str, options: str
) -> None:
    clerk.create_users(3000)
    assert await headed(terminal, f"reconcile {options}") == (141, b"")


async def test_an_export_that_nobody_reads_to_the_end_is_done(
    terminal: Terminal, database: Database
) -> None:
    for number in range(60):
        await quarantined(database, b"x" * 10_000, svix_id=f"msg_{number}")
    code, said = await headed(terminal, "export")
    assert (code, b"Traceback" in said) == (0, False)
