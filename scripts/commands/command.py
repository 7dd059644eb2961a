"""What every operator's command shares: its options, the lock, the schema, and how a run ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from domain import health
from domain.ports import LeftOut
from scripts.commands.exit_codes import ExitCode, Refusal, ending
from scripts.commands.screen import Screen, Tally
from service.bootstrap import operations, read_settings
from service.jobs import OPERATOR_LOCK, holder
from service.services import Operations
from service.settings import Settings, mistakes

ASKED_ABOVE = 1000
"""So many deliveries are replayed unasked."""

_ENDED_WELL = (ExitCode.OK, ExitCode.INTERRUPTED)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however many there are.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON object a line.")]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one command. `tally` and `facts` become its final table."""

    name: str
    operations: Operations
    settings: Settings
    screen: Screen
    tally: Tally
    facts: dict[str, Any]
    dry_run: bool
    yes: bool

    def report_left_out(self, users: Sequence[LeftOut]) -> None:
        """Users of Clerk's that cannot be kept: counted as failed, and named."""
        for user in users:
            self.tally["failed"] += 1
            self.screen.say(f"{user.clerk_id}: cannot be kept: {user.reason}")

    def require_consent(self, count: int, what: str) -> None:
        """Ask before more than `ASKED_ABOVE` writes. Raises `Refusal` for a no, and for nobody."""
        if count <= ASKED_ABOVE or self.dry_run or self.yes:
            return
        if not self.screen.can_ask:
            words = f"{count} {what}: say --yes if that is right, or --dry-run to see what it does."
            raise Refusal(ExitCode.USAGE, words)
        if not self.screen.ask(f"{count} {what}. Go on?"):
            raise Refusal(ExitCode.USAGE, "Nothing was done.")


Work = Callable[[Run], Awaitable[ExitCode]]
"""Raises `SyncError` or `Refusal`; neither becomes a traceback."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command as the command line calls it.

    `exclusive`: not beside another run. `counted`: ends with the table of outcomes.
    `needs_schema`: not on a schema that is behind. `if_stopped`: how to go on after Ctrl-C.
    `spared`: what its table says of a run that writes nothing.
    """

    name: str
    if_stopped: str
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False
    exclusive: bool = True
    counted: bool = True
    needs_schema: bool = True
    spared: str = "dry run: nothing was written"
    tally: Tally = field(default_factory=Tally)
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, work: Work) -> None:
        """Do it. Always raises `typer.Exit` with the exit code."""
        screen = Screen(as_json=self.as_json)
        if_stopped = "Nothing was written." if self.dry_run else self.if_stopped
        code = ending(screen, lambda: asyncio.run(self._run(work, screen)), if_stopped=if_stopped)
        shown = ending(screen, lambda: self._show_table(screen, code), if_stopped=if_stopped)
        raise typer.Exit(code or shown)

    async def _run(self, work: Work, screen: Screen) -> ExitCode:
        settings = _settings()
        async with AsyncExitStack() as stack:
            available = await stack.enter_async_context(operations(settings))
            if self.needs_schema:
                await _require_schema(available)
            if self.exclusive:
                await stack.enter_async_context(
                    available.store.exclusive.hold(OPERATOR_LOCK, holder(self.name))
                )
            return await work(
                Run(
                    name=self.name,
                    operations=available,
                    settings=settings,
                    screen=screen,
                    tally=self.tally,
                    facts=self.facts,
                    dry_run=self.dry_run,
                    yes=self.yes,
                )
            )

    def _show_table(self, screen: Screen, code: ExitCode) -> ExitCode:
        """Not of a run that never began."""
        if not self.counted or not (self.tally or self.facts or code in _ENDED_WELL):
            return ExitCode.OK
        outcomes = self.tally.as_table()
        title = f"{self.name}, {self.spared}" if self.dry_run else self.name
        screen.table(title, {**outcomes, **self.facts})
        screen.record(
            {
                "command": self.name,
                "dry_run": self.dry_run,
                "exit_code": code,
                "outcomes": outcomes,
                **self.facts,
            }
        )
        return ExitCode.OK


def _settings() -> Settings:
    try:
        return read_settings()
    except ValidationError as error:
        lines = ["These settings are missing or wrong:", *mistakes(error)]
        raise Refusal(ExitCode.MISCONFIGURED, "\n  ".join(lines)) from None


async def _require_schema(available: Operations) -> None:
    state = await available.store.schema()
    if not state.is_usable:
        finding = health.schema(state)
        words = f"{finding.words[0].upper()}{finding.words[1:]}"
        raise Refusal(ExitCode.MISCONFIGURED, f"{words}. To do: {finding.advice}")
