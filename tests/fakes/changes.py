"""The log of changes in memory. It passes the same contract suite as Postgres."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from domain.change_log import ChangeLog, LogEnds, without_gap
from domain.changes import Change
from domain.subscriptions import AsideState
from domain.user import UserId
from tests.fakes.store import InMemoryStore

if TYPE_CHECKING:
    from tests.fakes.subscriptions import InMemorySubscriptions


class InMemoryChangeLog(ChangeLog):
    """The changes of a store in memory."""

    def __init__(
        self, store: InMemoryStore, subscriptions: "InMemorySubscriptions | None" = None
    ) -> None:
        self._store = store
        self._subscriptions = subscriptions

    async def number(self) -> int:
        await asyncio.sleep(0)
        newest = self._newest()
        for place, change in enumerate(self._store.changes):
            if not change.position:
                newest += 1
                self._store.changes[place] = replace(change, position=newest)
        return newest

    async def after(self, position: int, limit: int) -> Sequence[Change]:
        await asyncio.sleep(0)
        later = [change for change in self._store.changes if change.position > position]
        return without_gap(position, later[:limit])

    async def history(self, user_id: UserId, newest: int | None = None) -> Sequence[Change]:
        await asyncio.sleep(0)
        kept = [change for change in self._store.changes if change.clerk_id == user_id]
        return kept if newest is None else kept[-newest:]

    async def ends(self) -> LogEnds:
        await asyncio.sleep(0)
        positions = {change.position for change in self._store.changes}
        oldest = newest = self._newest()
        while oldest > 1 and oldest - 1 in positions:
            oldest -= 1
        return LogEnds(oldest=oldest, newest=newest)

    async def expire(self, older_than: timedelta, limit: int) -> int:
        await asyncio.sleep(0)
        until = datetime.now(UTC) - older_than
        oldest = [one for one in self._store.changes if one.position and not self._is_held(one)][
            :limit
        ]
        due = [
            change
            for change in oldest
            if change.recorded_at < until and change.position != self._newest()
        ]
        self._store.changes = [one for one in self._store.changes if one not in due]
        return len(due)

    async def expired(self, older_than: timedelta) -> int:
        await asyncio.sleep(0)
        until = datetime.now(UTC) - older_than
        return sum(
            0 < one.position < self._newest() and one.recorded_at < until and not self._is_held(one)
            for one in self._store.changes
        )

    def _is_held(self, change: Change) -> bool:
        """Whether a subscription has it set aside, or an earlier one of the same user."""
        rows = self._subscriptions.rows.values() if self._subscriptions else ()
        return any(
            one.clerk_id == change.clerk_id
            and one.state is not AsideState.GIVEN_UP
            and one.position <= change.position
            for row in rows
            for one in row.aside.values()
        )

    def _newest(self) -> int:
        return max((change.position for change in self._store.changes), default=0)
