"""Whether polls and full comparisons run on time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain import health
from domain.finding import Finding
from domain.ports import Checkpoints
from domain.reconcile import LAST_FULL, LAST_RECENT


@dataclass(frozen=True, slots=True)
class Polling:
    """The interval of polling, by one of the processes that share the store."""

    every: timedelta
    checkpoints: Checkpoints

    async def look(self) -> Finding:
        """Whether Clerk is polled in time. Raises `StorageUnavailable`."""
        return health.polling(self.every, await self.checkpoints.age(LAST_RECENT))

    async def last_at(self) -> datetime | None:
        """When the last poll ended; None before the first. Raises `StorageUnavailable`."""
        age = await self.checkpoints.age(LAST_RECENT)
        return None if age is None else datetime.now(UTC) - age


@dataclass(frozen=True, slots=True)
class Comparing:
    """The interval of full comparisons, by one of the processes that share the store."""

    every: timedelta
    checkpoints: Checkpoints

    async def look(self) -> Finding:
        """Whether they come in time. Raises `StorageUnavailable`."""
        return health.reconcile(self.every, await self.checkpoints.age(LAST_FULL))
