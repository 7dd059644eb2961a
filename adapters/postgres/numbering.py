"""Numbers changes, and does not look again where none can be without a position.

A change that has got its position leaves an entry in the index of those without. The server removes
it only when no transaction is left that is older. One that somebody else in the database holds open
for an hour would make every look longer, until it ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from adapters.postgres.change_statements import UNNUMBERED, WRITERS, number_after
from adapters.postgres.database import Database

ENOUGH = 1_000
"""Entries that may pile up before the looks begin behind them."""


class Mark(NamedTuple):
    """A change with a position. After a failover another one may have both numbers."""

    id: int
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Settling:
    """Every change up to `mark` is visible and numbered, once these transactions have ended.

    A change with an id has a writer with a lock on the table, and a writer's row is visible before
    its lock is gone.
    """

    mark: Mark
    writers: frozenset[str]


class Numbering:
    """Every change up to `_settled` has a position; looks begin behind it.

    `compare_first` is called before this process gives its first position.
    """

    def __init__(
        self,
        database: Database,
        enough: int = ENOUGH,
        compare_first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._enough = enough
        self._compare_first = compare_first
        self._settled: Mark | None = None
        self._settling: Settling | None = None
        self._lock = asyncio.Lock()

    async def number(self) -> int:
        """Number every visible change that has no position. Returns the newest position."""
        async with self._lock:
            while True:
                look = await self._look()
                if not look["is_known"]:
                    self._settled = self._settling = None
                elif look["is_behind"]:
                    await self._number()
                elif look["id"] is None:
                    return 0
                else:
                    newest = Mark(look["id"], look["position"], look["recorded_at"])
                    await self._settle(newest)
                    return newest.position

    async def _look(self) -> asyncpg.Record:
        begins = self._settled or (0, None, None)
        [look] = await self._database.run(lambda session: session.fetch(UNNUMBERED, *begins))
        return look

    async def _number(self) -> None:
        if self._compare_first is not None:
            await self._compare_first()
            self._compare_first = None
        statements = number_after(self._settled.id if self._settled else 0)
        await self._database.run(lambda session: session.execute(statements))

    async def _settle(self, newest: Mark) -> None:
        """Called when a look has found no change without a position."""
        settling = self._settling
        if settling is not None and not settling.writers:
            self._settled, self._settling = settling.mark, None
        elif settling is not None:
            writers = settling.writers & await self._writers()
            self._settling = Settling(settling.mark, writers)
        elif newest.id - (self._settled.id if self._settled else 0) >= self._enough:
            self._settling = Settling(newest, await self._writers())

    async def _writers(self) -> frozenset[str]:
        rows = await self._database.run(lambda session: session.fetch(WRITERS))
        return frozenset(row["writer"] for row in rows)
