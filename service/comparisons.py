"""Regular comparisons with Clerk: full repairs, and polls for updated users."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from domain.drift import Findings
from domain.errors import AlreadyRunning
from domain.ports import Checkpoints, Exclusive, LeftOut
from domain.reconcile import LAST_FULL, LAST_RECENT, Reconcile, ReconcileOptions
from service.jobs import OPERATOR_LOCK, holder

POLL_LOCK = "poll"
"""A separate lock, because a poll may run at the same time as an operator's command."""

LOOK_EVERY = 60.0
"""Seconds, at most, between two checks whether a run is due: another replica may have run it."""


async def reconcile_regularly(
    reconcile: Reconcile,
    exclusive: Exclusive,
    checkpoints: Checkpoints,
    *,
    every: timedelta,
    log: FilteringBoundLogger,
) -> None:
    """Run a full repair whenever the last one, of any process, is `every` ago.

    Raises `SyncError`.
    """

    async def repair() -> None:
        findings = Findings()
        await reconcile.full(ReconcileOptions(repair=True), findings)
        _report(findings, log)

    await asyncio.sleep(min(every.total_seconds(), LOOK_EVERY))  # not while the service starts
    await _whenever_due(
        repair, exclusive, checkpoints, every=every, last=LAST_FULL, lock=OPERATOR_LOCK
    )


async def poll_regularly(
    reconcile: Reconcile,
    exclusive: Exclusive,
    checkpoints: Checkpoints,
    *,
    every: timedelta,
    log: FilteringBoundLogger,
) -> None:
    """Repair, every `every`, the users that Clerk updated since the last poll. Raises `SyncError`.

    A user that cannot be read or repaired does not stop the others; each is logged once.
    """
    logged = frozenset[LeftOut]()

    async def poll() -> None:
        nonlocal logged
        findings = Findings()
        await reconcile.recent(ReconcileOptions(repair=True, insist=False), findings)
        left_out = frozenset(findings.left_out)
        _warn_of(left_out - logged, log)
        logged = left_out
        if findings.outcomes:
            log.info("polled", **{str(word): count for word, count in findings.outcomes.items()})

    await _whenever_due(poll, exclusive, checkpoints, every=every, last=LAST_RECENT, lock=POLL_LOCK)


async def _whenever_due(
    work: Callable[[], Awaitable[None]],
    exclusive: Exclusive,
    checkpoints: Checkpoints,
    *,
    every: timedelta,
    last: str,
    lock: str,
) -> None:
    """Run `work` whenever its last run, of any process, is `every` ago, in one process at a time.

    `work` saves the checkpoint `last` at its end.
    """

    async def due_in() -> timedelta:
        age = await checkpoints.age(last)
        if age is None or age < timedelta(0):  # the store's clock may be set back
            return timedelta(0)
        return max(every - age, timedelta(0))

    while True:
        pause = await due_in()
        if not pause:
            with suppress(AlreadyRunning):
                async with exclusive.hold(lock, holder("service")):
                    # Another replica may have run it before we got the lock.
                    if not await due_in():
                        await work()
            pause = every
        await asyncio.sleep(min(pause.total_seconds(), LOOK_EVERY))


def _report(findings: Findings, log: FilteringBoundLogger) -> None:
    _warn_of(findings.left_out, log)
    log.info(
        "reconciled",
        compared=findings.compared,
        drift=findings.found.total(),
        left=findings.left,
        held_back=findings.held_back,
        unreadable=len(findings.left_out),
    )


def _warn_of(left_out: Iterable[LeftOut], log: FilteringBoundLogger) -> None:
    for one in left_out:
        log.warning("user_unreadable", user_id=one.clerk_id, reason=one.reason)
