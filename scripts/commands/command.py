"""The parts of every operator's command: options, lock, schema, audit trail."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from getpass import getuser
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from domain import health
from domain.console import AuditTrail
from domain.errors import StorageUnavailable, SyncError
from domain.history import notice
from domain.instance import recall
from domain.ports import LeftOut
from domain.user import UserId
from scripts.commands.demo import settings_of_the_demo
from scripts.commands.ending import Refusal, ending
from scripts.commands.screen import Screen, Tally, would_be
from scripts.commands.users import found_user
from service.bootstrap import operations
from service.bootstrap.settings import read_settings, works_on
from service.exit_code import ExitCode
from service.jobs import OPERATOR_LOCK, holder
from service.mistakes import MISTAKEN, mistakes
from service.services import Operations
from service.settings import Settings

ASKED_ABOVE = 1000
"""A run with more writes asks for the operator's consent."""

_ENDED_WELL = (ExitCode.OK, ExitCode.INTERRUPTED)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for consent.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON object a line.")]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a command, about `users`. `tally` and `facts` are shown in the final table.

    `preview` is the words for how to run it without writing.
    """

    name: str
    operations: Operations
    settings: Settings
    screen: Screen
    users: Sequence[UserId]
    tally: Tally
    facts: dict[str, Any]
    dry_run: bool
    preview: str
    yes: bool

    @property
    def who(self) -> str:
        """The operator, for the audit trail."""
        return f"cli:{_account()}"

    def report_left_out(self, users: Sequence[LeftOut]) -> None:
        """Count and name users that Clerk has in a form that cannot be kept."""
        for user in users:
            self.tally["failed"] += 1
            self.screen.say(f"{user.clerk_id}: cannot be kept: {user.reason}")

    def require_consent(self, count: int, what: str, above: int = ASKED_ABOVE) -> None:
        """Ask before more than so many writes, as `consent` does."""
        if count > above:
            self.consent(f"{count} {what}", "Nothing was done.")

    def consent(self, words: str, otherwise: str) -> None:
        """Ask. Raises `Refusal` without a terminal, and with `otherwise` if the answer is no."""
        if self.dry_run or self.yes:
            return
        if not self.screen.can_ask:
            told = f"{words}: add --yes to agree, or {self.preview} to see what it does."
            raise Refusal(ExitCode.USAGE, told)
        if not self.screen.ask(f"{words}. Go on?"):
            raise Refusal(ExitCode.USAGE, otherwise)


Work = Callable[[Run], Awaitable[ExitCode]]
"""Raises `SyncError` or `Refusal`; neither becomes a traceback."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command with its options.

    `exclusive`: it takes the operator's lock. `counted`: it ends with the table of outcomes.
    `if_stopped`: the text after Ctrl-C. `preview`: as in `Run`.
    `dry_run_title`: the title's addition for a run that writes nothing. `action`, `target` and
    `options` are for the audit trail; without `action` the run is not recorded there. `users` are
    named as the operator likes. The trail is kept for ever, so it has their Clerk ids and no
    address: one as the target, or all as the option `users_option`.
    """

    name: str
    if_stopped: str
    dry_run: bool = False
    preview: str = "--dry-run"
    yes: bool = False
    as_json: bool = False
    exclusive: bool = True
    counted: bool = True
    action: str | None = None
    target: str | None = None
    users: Sequence[str] = ()
    users_option: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    dry_run_title: str = "dry run: nothing was written"
    tally: Tally = field(default_factory=Tally)
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, work: Work) -> None:
        """Run it. Always raises `typer.Exit` with the exit code."""
        screen = Screen(as_json=self.as_json)
        if_stopped = "Nothing was written." if self.dry_run else self.if_stopped
        code = ending(screen, lambda: asyncio.run(self._run(work, screen)), if_stopped=if_stopped)
        shown = ending(screen, lambda: self._show_table(screen, code), if_stopped=if_stopped)
        raise typer.Exit(code or shown)

    async def _run(self, work: Work, screen: Screen) -> ExitCode:
        settings = _settings()
        screen.say(f"{self.name}: {works_on(settings)}")
        async with AsyncExitStack() as stack:
            available = await stack.enter_async_context(operations(settings))
            await _require_schema(available)
            await recall(available.clerk.instance, available.store.checkpoints)
            if not self.dry_run and (reason := await notice(available.store.history)):
                screen.say(f"The store went back: {reason}.")
            if self.exclusive:
                await stack.enter_async_context(
                    available.store.exclusive.hold(OPERATOR_LOCK, holder(self.name))
                )
            users = [await found_user(available.store.reads, name) for name in self.users]
            run = Run(
                name=self.name,
                operations=available,
                settings=settings,
                screen=screen,
                users=users,
                tally=self.tally,
                facts=self.facts,
                dry_run=self.dry_run,
                preview=self.preview,
                yes=self.yes,
            )
            if self.action is None or self.dry_run:
                return await work(run)
            return await self._recorded(self.action, work, run)

    async def _recorded(self, action: str, work: Work, run: Run) -> ExitCode:
        """Do the work. The audit trail has the action before it begins, and its result after."""
        audit = run.operations.store.audit
        target, options = self.target, self.options
        if run.users and self.users_option:
            options = {**options, self.users_option: run.users}
        elif run.users:
            (target,) = run.users
        action_id = await audit.begin(who=run.who, action=action, target=target, detail=options)
        result = "interrupted"
        try:
            code = await work(run)
            counts = ", ".join(f"{count} {word}" for word, count in self.tally.items() if count)
            result = f"{code.meaning}: {counts}" if counts else code.meaning
        except SyncError as error:
            result = f"failed: {error.explained}"
            raise
        except Refusal as refused:
            result = f"failed: {refused}"
            raise
        finally:
            counted = {str(word): count for word, count in self.tally.items()}
            detail = {**options, **counted, **self.facts}
            await end_on_the_trail(audit, action_id, result, detail)
        return code

    def _show_table(self, screen: Screen, code: ExitCode) -> ExitCode:
        """Show the table of outcomes, unless the run ended before its work began."""
        if not self.counted or not (self.tally or self.facts or code in _ENDED_WELL):
            return ExitCode.OK
        outcomes = self.tally.as_table()
        title = f"{self.name}, {self.dry_run_title}" if self.dry_run else self.name
        shown = {would_be(word): count for word, count in outcomes.items()}
        facts = {name.replace("_", " "): fact for name, fact in self.facts.items()}
        screen.table(title, {**(shown if self.dry_run else outcomes), **facts})
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


async def end_on_the_trail(
    audit: AuditTrail, action_id: int, result: str, detail: Mapping[str, Any]
) -> None:
    """Write an action's result, if the store takes it: its error must not replace the run's own."""
    with suppress(StorageUnavailable):
        await audit.end(action_id, result=result, detail=detail)


def _settings() -> Settings:
    try:
        return read_settings(**settings_of_the_demo())
    except ValidationError as error:
        lines = [MISTAKEN, *mistakes(error)]
        raise Refusal(ExitCode.MISCONFIGURED, "\n  ".join(lines)) from None


async def _require_schema(available: Operations) -> None:
    state = await available.store.schema()
    if not state.is_usable:
        finding = health.schema(state)
        words = f"{finding.words[0].upper()}{finding.words[1:]}"
        raise Refusal(ExitCode.MISCONFIGURED, f"{words}. To do: {finding.advice}")


def _account() -> str:
    """The operating system's user, or its number: in a container it may have no name."""
    try:
        return getuser()
    except (KeyError, OSError):
        return str(os.getuid())
