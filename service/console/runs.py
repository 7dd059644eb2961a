"""Long actions in the background, under the same lock as the operators' commands."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from domain.cancelling import cancel_all
from domain.console import AuditTrail
from domain.errors import StorageUnavailable, SyncError
from domain.ports import Exclusive
from service.jobs import OPERATOR_LOCK, holder

SAVE_EVERY = 1.0
"""Seconds between two writes of a run's progress."""

PROGRESS_AT = "progress_at"
"""When a run last wrote its progress. A run that ended with its process writes no more."""

Work = Callable[[dict[str, Any]], Awaitable[str]]
"""Keeps the given details up to date while it works, and returns the result in words."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is to be done. `detail` is what the audit trail shows of its progress."""

    who: str
    action: str
    target: str | None
    detail: dict[str, Any]
    work: Work


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs under way in this process. Other replicas read of them on the audit trail."""

    audit: AuditTrail
    exclusive: Exclusive
    log: FilteringBoundLogger
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, run: Run) -> int:
        """Returns when it has begun: its id on the audit trail.

        Raises `AlreadyRunning` or `StorageUnavailable`; then nothing has begun.
        """
        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(begun, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await begun

    async def close(self) -> None:
        """Stop what is under way; each says so on the audit trail."""
        await cancel_all(self._tasks)

    async def _run(self, begun: asyncio.Future[int], run: Run) -> None:
        try:
            async with self.exclusive.hold(OPERATOR_LOCK, holder("console")):
                action_id = await self.audit.begin(
                    who=run.who, action=run.action, target=run.target, detail=run.detail
                )
                begun.set_result(action_id)
                await self._to_its_end(action_id, run)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            else:
                self.log.exception("console_run_lost", action=run.action)

    async def _to_its_end(self, action_id: int, run: Run) -> None:
        result = "broken off: the service stopped, or lost its lock"
        try:
            async with self._saved_meanwhile(action_id, run.detail):
                result = await run.work(run.detail)
        except SyncError as error:
            result = f"failed: {error.explained}"
        except Exception:
            result = "failed: a fault of this service, see its log"
            self.log.exception("console_run_failed")
        finally:
            await self.audit.end(action_id, result=result, detail=run.detail)

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
            detail[PROGRESS_AT] = datetime.now(UTC).isoformat()
            with suppress(StorageUnavailable):
                await self.audit.progress(action_id, detail)
