"""`scripts/replay_webhooks.py` as an operator runs it, in the process of the test."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from scripts.replay_webhooks import command_line
from service.exit_code import ExitCode

TYPERS_USAGE = 2


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote.

    `works_on` is the first line on stderr, which names the database and the instance.
    """

    code: int
    out: str
    err: str
    works_on: str = ""

    @property
    def records(self) -> list[dict[str, Any]]:
        """What it wrote with `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def said(self) -> str:
        """Everything it wrote on one line, without the frames of tables."""
        return " ".join((self.out + self.err).replace("│", " ").split())


@dataclass(frozen=True)
class Operator:
    """An operator with a shell and these settings."""

    environment: Mapping[str, str | None]

    def told(self, settings: Mapping[str, str | None]) -> "Operator":
        """The same with other settings; None removes one."""
        return Operator({**self.environment, **settings})

    async def run(self, *arguments: str, stdin: bytes = b"", **settings: str | None) -> Ended:
        return await asyncio.to_thread(self._run, arguments, stdin, settings)

    async def outcomes(
        self, *arguments: str, stdin: bytes = b"", **settings: str | None
    ) -> dict[str, int]:
        """The outcomes with a count greater than 0."""
        ended = await self.run(*arguments, "--json", stdin=stdin, **settings)
        counts = {**ended.records[-1]["outcomes"], **ended.records[-1]}
        return {name: count for name, count in counts.items() if name in WORDS and count}

    def _run(
        self, arguments: tuple[str, ...], stdin: bytes, settings: dict[str, str | None]
    ) -> Ended:
        ended = CliRunner().invoke(
            command_line(), list(arguments), input=stdin, env={**self.environment, **settings}
        )
        assert not ended.exception or isinstance(ended.exception, SystemExit), ended.exception
        code = ExitCode.USAGE if ended.exit_code == TYPERS_USAGE else ended.exit_code
        first, newline, rest = ended.stderr.partition("\n")
        if re.match(
            rf"{arguments[0] if arguments else ''}( \w+)?: (the embedded )?database ", first
        ):
            return Ended(code, ended.stdout, rest, first + newline)
        return Ended(code, ended.stdout, ended.stderr)


WORDS = {
    *("created", "updated", "unchanged", "stale", "deleted", "gone", "quarantined", "failed"),
    *("accepted", "to post", "ignored", "no body"),
}
