"""A page of docs/operating/ or docs/guides/, its commands run as they stand there.

A block of `sh` is run whole. A block of `text` after it is what one sees: each of its lines is in the
output, where `…` stands for anything on that line.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATING = ROOT / "docs" / "operating"
GUIDES = ROOT / "docs" / "guides"
PATIENCE = 120.0

_COMMAND = f"""#!{sys.executable}
import sys
from scripts.command_line import main
sys.exit(main())
"""

_BLOCKS = re.compile(r"(?ms)^```sh\n(.*?)^```(?:\n+```text\n(.*?)^```)?")
_FRAMES = re.compile(r"[│┃┏┓┗┛┡┩┳╇┴━─└┘├┤┼╭╮╰╯]")


@dataclass(frozen=True)
class Block:
    """Commands, and the lines that they are to print."""

    commands: str
    seen: list[str]


@dataclass
class Runbook:
    """One page, for a shell with these settings. `SERVICE` is the address of the service."""

    name: str
    environment: Mapping[str, str]
    directory: Path
    folder: Path = OPERATING
    blocks: list[Block] = field(init=False)

    def __post_init__(self) -> None:
        text = (self.folder / f"{self.name}.md").read_text()
        self.blocks = [
            Block(commands, seen.splitlines()) for commands, seen in _BLOCKS.findall(text)
        ]
        command = self.directory / "clerk-user-sync"
        command.write_text(_COMMAND)
        command.chmod(0o755)

    async def next(self, **settings: str) -> str:
        """Run the next block. The output, on one line and without the frames of tables.

        Raises `AssertionError` if it lacks what the page shows.
        """
        block = self.blocks.pop(0)
        said = await self._run(block.commands, settings)
        for line in block.seen:
            assert _shows(said, line), f"{self.name}: not seen: {line}\n{said}"
        return said

    async def run(self, part: str, **settings: str) -> str:
        """Run the first block with `part` in it, whatever it prints. The output as above."""
        block = next(one for one in self.blocks if part in one.commands)
        return await self._run(block.commands, settings)

    async def _run(self, commands: str, settings: Mapping[str, str]) -> str:
        paths = os.pathsep.join((str(self.directory), str(Path(sys.executable).parent)))
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            commands,
            cwd=self.directory,
            env={
                "PATH": f"{paths}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "400",
                **self.environment,
                **settings,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        return " ".join(_FRAMES.sub(" ", output.decode()).split())


def _shows(said: str, line: str) -> bool:
    parts = [re.escape(" ".join(part.split())) for part in line.split("…")]
    return re.search(r"\s?.*?".join(parts), said) is not None
