"""The commands and statements of a guide, in the order in which they stand there."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner, Result

from scripts.program import program

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_COMMAND = re.compile(r"^\$ clerk-user-sync (.+)$", re.MULTILINE)


def blocks(guide: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"(?s)```{language}\n(.*?)```", (GUIDES / guide).read_text())


def commands(block: str) -> list[list[str]]:
    """What follows `clerk-user-sync` in each line of a console block."""
    return [line.partition("#")[0].split() for line in _COMMAND.findall(block)]


async def run(arguments: list[str], environment: Mapping[str, str | None]) -> Result:
    """A command of the program, in this process."""
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(program(), arguments, env=dict(environment))
    )
