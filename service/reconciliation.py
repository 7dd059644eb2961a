"""The table is held against Clerk while the service runs: on one replica at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from structlog.typing import FilteringBoundLogger

from domain.errors import AlreadyRunning, SyncError
from domain.ports import Checkpoints, Exclusive
from domain.reconcile import LAST_FULL, Findings, Reconcile
from service.exclusive_run import LOCK, holder
from service.metrics import Metrics

LOOK_EVERY = 60.0
"""Seconds, at most, between two looks whether a run is due: another replica may have done it."""


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """A full repair whenever the last one, anybody's, is `every` ago. `prepare` makes a new run."""

    prepare: Callable[[], Reconcile]
    exclusive: Exclusive
    checkpoints: Checkpoints
    every: timedelta
    metrics: Metrics
    log: FilteringBoundLogger

    async def run(self) -> None:
        """Goes on until it is cancelled, whatever becomes of one run."""
        while True:
            await asyncio.sleep(min(self.every.total_seconds(), LOOK_EVERY))
            try:
                await self._look()
            except AlreadyRunning:
                continue
            except SyncError as error:
                self.log.warning("reconcile_failed", cause=str(error))

    async def _look(self) -> None:
        if not await self._is_due():
            return
        async with self.exclusive.hold(LOCK, holder("service")):
            # Looked at again: it may have been done while nobody held the lock for us.
            if await self._is_due():
                self._report(await self.prepare().full())

    async def _is_due(self) -> bool:
        last = await self.checkpoints.load(LAST_FULL)
        return last is None or datetime.now(UTC) - datetime.fromisoformat(last) >= self.every

    def _report(self, findings: Findings) -> None:
        self.metrics.reconciled(findings.found)
        self.log.info(
            "reconciled",
            compared=findings.compared,
            drift=findings.found.total(),
            left=findings.left,
            held_back=findings.held_back,
        )
