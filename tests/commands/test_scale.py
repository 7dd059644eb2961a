"""A hundred thousand users, within the quota of a development instance, in little memory."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from scripts.clerk_emulator import EmulatorConfig, running_emulator
from tests.commands.scenes import drift, spoil, versions
from tests.commands.terminal import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


REPAIR = ("reconcile", "--full", "--repair")


@dataclass(frozen=True)
class Measured:
    """One command: its summary, its time in seconds, and its greatest memory in MiB."""

    code: int
    summary: dict[str, Any]
    seconds: float
    memory: float


async def measured(environment: dict[str, str], directory: Path, *arguments: str) -> Measured:
    return await asyncio.to_thread(_measured, environment, directory, arguments)


def _measured(environment: dict[str, str], directory: Path, arguments: tuple[str, ...]) -> Measured:
    out = directory / "out"
    started = time.monotonic()
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.replay_webhooks", *arguments, "--json"],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            stdout=stdout,
        )
    memory = _watched(process)
    summary = orjson.loads(out.read_bytes().splitlines()[-1])
    return Measured(process.returncode, summary, time.monotonic() - started, memory)


def _watched(process: "subprocess.Popen[bytes]") -> float:
    """Its greatest memory. `ru_maxrss` would include ours, from before its exec."""
    most = 0
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()):
            most = int(found[1])
        time.sleep(0.1)
    return most / 1024


async def repaired(count: int, store_url: str, directory: Path) -> list[Measured]:
    """A backfill, damage, a backfill and a repair, and both once more.

    Clerk has its own quota for development: 100 calls in 10 seconds.
    """
    sql = await asyncpg.connect(store_url)
    await sql.execute("truncate users, sync_journal, sync_checkpoints")
    async with running_emulator(EmulatorConfig()) as clerk:
        clerk.create_users(count)
        environment = {**clerk.config.environment(), "DATABASE_URL": store_url}

        async def run(*arguments: str) -> Measured:
            return await measured(environment, directory, *arguments)

        first = await run("backfill")
        await spoil(clerk, sql, count)
        backfill, repair = await run("backfill"), await run(*REPAIR)
        assert await drift(clerk, sql) == {}
        before = await versions(sql)
        nothing = [await run("backfill"), await run(*REPAIR)]
        assert await versions(sql) == before
        assert clerk.calls.count(status=429) == 0
    await sql.close()
    return [first, backfill, repair, *nothing]


async def test_a_hundred_thousand_users_end_without_drift_within_quota_and_memory(
    store_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    few = await repaired(10_000, store_url, tmp_path)
    many = await repaired(100_000, store_url, tmp_path)
    for one in [*few, *many]:
        words = f"{one.code} {one.seconds:7.1f} s {one.memory:6.1f} MiB {one.summary}"
        record_property(one.summary["command"], words)
        print(words)
    assert {one.code for one in [*few, *many]} == {0}
    assert sum(many[-1].summary["outcomes"].values()) == 0
    assert max(one.memory for one in many) < max(one.memory for one in few) + 32
