"""The command line as an operator uses it: a process, its exit code and its output."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended. The first line on stderr, which names the database, is left out."""

    code: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What `--json` printed; the last is the summary."""
        return [orjson.loads(line) for line in self.stdout.splitlines()]

    @property
    def outcomes(self) -> dict[str, int]:
        """The outcomes whose count is not 0."""
        return {name: count for name, count in self.records[-1]["outcomes"].items() if count}


@dataclass(frozen=True)
class Terminal:
    """`environment` is all a command knows; `directory` is where it runs, away from any `.env`.

    `program` is the module with the commands.
    """

    environment: Mapping[str, str]
    directory: Path
    program: str = "scripts.replay_webhooks"

    def told(self, **settings: str | None) -> "Terminal":
        """The same with other settings; None removes one."""
        changed = {**self.environment, **settings}
        kept = {name: value for name, value in changed.items() if value is not None}
        return replace(self, environment=kept)

    async def start(self, *arguments: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.program,
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.environment},
        )

    async def run(self, *arguments: str) -> Ended:
        return await ended(await self.start(*arguments))


async def ended(process: Process) -> Ended:
    """Wait for it."""
    stdout, stderr = await process.communicate()
    said = re.sub(r"\A\w+: database .*\n", "", stderr.decode())
    return Ended(process.returncode or 0, stdout.decode(), said)
