"""Long runs in the background, one at a time with the operators' commands, on the audit trail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from domain.console import AuditTrail
from domain.errors import StorageUnavailable, SyncError
from domain.ports import Exclusive
from service.jobs import OPERATOR_LOCK, holder

SAVE_EVERY = 1.0
"""Seconds between two looks at how far a run has come."""

LAST_WORD = "last_word"
"""When a run last said how far it is: one that ended with its process says nothing more."""

Work = Callable[[dict[str, Any]], Awaitable[str]]
"""Does it, keeps the given details up to date meanwhile, and says in words what came of it."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What is under way in this process. Other replicas read of it on the audit trail."""

    audit: AuditTrail
    exclusive: Exclusive
    log: FilteringBoundLogger
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(
        self, *, who: str, action: str, target: str | None, detail: dict[str, Any], work: Work
    ) -> int:
        """Returns when it has begun: its id on the audit trail.

        Raises `AlreadyRunning` or `StorageUnavailable`; then nothing has begun.
        """
        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        run = self._run(begun, who=who, action=action, target=target, detail=detail, work=work)
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await begun

    async def close(self) -> None:
        """Stop what is under way; each says so on the audit trail."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(
        self,
        begun: asyncio.Future[int],
        *,
        who: str,
        action: str,
        target: str | None,
        detail: dict[str, Any],
        work: Work,
    ) -> None:
        try:
            async with self.exclusive.hold(OPERATOR_LOCK, holder("console")):
                action_id = await self.audit.begin(
                    who=who, action=action, target=target, detail=detail
                )
                begun.set_result(action_id)
                await self._to_its_end(action_id, detail, work)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            else:
                self.log.exception("console_run_lost", action=action)

    async def _to_its_end(self, action_id: int, detail: dict[str, Any], work: Work) -> None:
        result = "broken off: the service stopped, or lost its lock"
        try:
            async with self._saved_meanwhile(action_id, detail):
                result = await work(detail)
        except SyncError as error:
            result = f"failed: {error.explained}"
        except Exception:
            result = "failed: a fault of ours, see the log"
            self.log.exception("unforeseen")
        finally:
            await self.audit.end(action_id, result=result, detail=detail)

    @asynccontextmanager
    async def _saved_meanwhile(self, action_id: int, detail: dict[str, Any]) -> AsyncIterator[None]:
        saving = asyncio.create_task(self._save(action_id, detail))
        try:
            yield
        finally:
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving

    async def _save(self, action_id: int, detail: dict[str, Any]) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            detail[LAST_WORD] = datetime.now(UTC).isoformat()
            with suppress(StorageUnavailable):
                await self.audit.progress(action_id, detail)
