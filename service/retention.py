"""The journal forgets while the service runs: on one replica at a time, every hour."""

import asyncio
from datetime import UTC, datetime

from structlog.typing import FilteringBoundLogger

from domain.errors import AlreadyRunning, StorageUnavailable
from domain.ports import Exclusive
from domain.retention import Retain
from service.exclusive_run import holder

LOCK = "retain"
FIRST = 60.0
"""Seconds: not while the service is busy with its start."""
EVERY = 3600.0
AFTER_A_FAILURE = 60.0
RESTS = 3.0
"""Times as long as it works: those who are served meanwhile should not notice."""


async def retain_by_the_hour(
    retain: Retain,
    exclusive: Exclusive,
    log: FilteringBoundLogger,
    *,
    first: float = FIRST,
    every: float = EVERY,
) -> None:
    """Runs until it is cancelled. A store that is away is tried again a minute later."""
    await asyncio.sleep(first)
    while True:
        try:
            await _retain_alone(retain, exclusive, log)
        except StorageUnavailable as error:
            log.warning("retention_waits", cause=str(error))
            await asyncio.sleep(min(every, AFTER_A_FAILURE))
        else:
            await asyncio.sleep(every)


async def _retain_alone(retain: Retain, exclusive: Exclusive, log: FilteringBoundLogger) -> None:
    try:
        async with exclusive.hold(LOCK, holder("retain")):
            forgotten = await retain(datetime.now(UTC))
    except AlreadyRunning:
        return  # another replica does it just now
    if forgotten.bodies or forgotten.entries:
        log.info("journal_retained", bodies=forgotten.bodies, entries=forgotten.entries)
