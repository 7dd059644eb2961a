"""Processes that are killed at a chosen step of what they do."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.processes import ROOT, environment_for

EVERY_STEP = range(1, 1000)
NEVER = 0


class Victims:
    """Runs the scenes of `dying` in processes that are killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def play(self, scene: str, step: int, **told: str) -> bool:
        """Whether it was killed at that step; otherwise it ended before."""
        assert self._process.stdin
        assert self._process.stdout
        line = json.dumps({"scene": scene, "step": step, **told})
        self._process.stdin.write(line.encode() + b"\n")
        ended = int(await self._process.stdout.readline())
        assert ended in (0, -signal.SIGKILL)
        return ended != 0


@asynccontextmanager
async def dying(clerk: ClerkEmulator, store_url: str, **settings: str) -> AsyncIterator[Victims]:
    environment = environment_for(
        clerk, store_url, MIGRATE_ON_START="0", LOG_LEVEL="error", **settings
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.dying"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    yield Victims(process)
    process.stdin.close()
    await process.wait()
