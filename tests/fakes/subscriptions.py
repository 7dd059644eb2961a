"""Subscriptions in memory. They pass the same contract suite as Postgres."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from domain.change_log import Due, LogEnds, Page, Progress, SubscriptionDesk, SubscriptionStore
from domain.changes import Change
from domain.errors import FellBehind
from domain.subscriptions import (
    RETRIED,
    SKIPPED,
    AsideState,
    SetAside,
    Subscription,
    SubscriptionStanding,
    Wants,
)
from domain.user import UserId
from tests.fakes.changes import InMemoryChangeLog
from tests.fakes.store import InMemoryStore


@dataclass
class Row:
    wants: Wants
    position: int
    begins_after: int
    holder: str | None = None
    held_until: float = 0.0
    moved_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    aside: dict[int, SetAside] = field(default_factory=dict)
    due_at: dict[int, float] = field(default_factory=dict)
    passed_over: set[int] = field(default_factory=set)
    failing_since: float | None = None
    paused_at: datetime | None = None
    paused_because: str | None = None


class InMemorySubscriptions(SubscriptionStore, SubscriptionDesk):
    """Its clock is the event loop's, so that it runs in virtual time too."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self._log = InMemoryChangeLog(store)
        self.rows: dict[str, Row] = {}

    async def declare(self, subscription: Subscription) -> None:
        newest = await self._log.number()
        oldest = (await self._log.ends()).oldest
        begins = newest if subscription.begin == "now" else max(oldest - 1, 0)
        row = self.rows.setdefault(subscription.name, Row(subscription.wants, begins, begins))
        row.wants = subscription.wants

    async def take(self, name: str, holder: str, seconds: float) -> int | None:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        if row is None or row.paused_at:
            return None
        if row.holder not in (None, holder) and row.held_until >= _now():
            return None
        row.holder, row.held_until = holder, _now() + seconds
        return row.position

    async def release(self, name: str, holder: str) -> None:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        if row and row.holder == holder:
            row.holder = None

    async def read(self, name: str, after: int, limit: int) -> Page:
        changes = await self._log.after(after, limit)
        if not changes and after > (await self._log.ends()).newest:
            raise FellBehind(f"position {after} is ahead of the log")
        row = self.rows.get(name)
        held = frozenset(one.clerk_id for one in _active(row)) if row else frozenset()
        return Page(changes=changes, held=held & {change.clerk_id for change in changes})

    async def due(self, name: str, in_hand: Sequence[UserId], limit: int) -> Due:
        await asyncio.sleep(0)
        row = self.rows[name]
        waiting = [
            one for one in _active(row) if one.state in (AsideState.WAITING, AsideState.SKIPPING)
        ]
        due = [
            one
            for one in waiting
            if row.due_at[one.position] <= _now() and one.clerk_id not in in_hand
        ]
        due.sort(key=lambda one: row.due_at[one.position])
        return Due(
            changes=[(one, self._change(one)) for one in due[:limit]],
            waiting=len(waiting),
        )

    async def save(self, name: str, holder: str, progress: Progress, seconds: float) -> bool:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        newest = (await self._log.ends()).newest
        if row is None or row.holder != holder or progress.read > newest:
            return False
        row.position, row.held_until = progress.position, _now() + seconds
        for one in progress.aside:
            known = row.aside.get(one.position)
            if known and known.state is AsideState.WAITING and known.attempts < one.attempts - 1:
                continue  # an operator's retry
            is_skipping = known is not None and known.state is AsideState.SKIPPING
            skipped = replace(one, state=AsideState.SKIPPING, pause=0.0)
            self._put(row, skipped if is_skipping else one)
        for one in (*progress.resolved, *progress.given_up):
            self._resolve(row, one, progress.read)
        for one in progress.given_up:
            self._put(row, replace(one, state=AsideState.GIVEN_UP))
        return True

    async def note_attempts(self, name: str, holder: str, *, delivered: bool) -> float | None:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        if row is None or row.holder != holder:
            return None
        if delivered:
            row.failing_since = None
            return None
        if row.failing_since is None:
            row.failing_since = _now()
        return _now() - row.failing_since

    async def pause(self, name: str, holder: str, reason: str) -> bool:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        if row is None or row.holder != holder:
            return False
        row.paused_at, row.paused_because = datetime.now(UTC), reason
        return True

    async def standings(self) -> Sequence[SubscriptionStanding]:
        ends = await self._log.ends()
        return [self._standing(name, row, ends) for name, row in sorted(self.rows.items())]

    async def set_aside(self, name: str, limit: int) -> Sequence[SetAside]:
        await asyncio.sleep(0)
        asides = self.rows[name].aside.values()
        return sorted(asides, key=lambda one: (one.state is AsideState.GIVEN_UP, one.position))[
            :limit
        ]

    async def aside_of(self, user_id: UserId, since: int = 0) -> Mapping[str, Sequence[SetAside]]:
        await asyncio.sleep(0)
        found = {
            name: sorted(
                (one for one in self._with_passed_over(row, since) if one.clerk_id == user_id),
                key=lambda one: one.position,
            )
            for name, row in self.rows.items()
        }
        return {name: asides for name, asides in found.items() if asides}

    async def chosen(
        self, name: str, states: AbstractSet[AsideState], position: int | None = None
    ) -> int:
        await asyncio.sleep(0)
        return len(_chosen(self.rows[name], states, position))

    async def retry(self, name: str, position: int | None = None) -> int:
        row = self.rows[name]
        chosen = _chosen(row, RETRIED, position)
        return await self._turn(row, chosen, AsideState.WAITING, attempts=0)

    async def skip(self, name: str, position: int | None = None) -> int:
        row = self.rows[name]
        return await self._turn(row, _chosen(row, SKIPPED, position), AsideState.SKIPPING)

    async def rewind(self, name: str, position: int) -> bool:
        await asyncio.sleep(0)
        if (row := self.rows.get(name)) is None:
            return False
        row.passed_over |= set(range(row.position + 1, position + 1))
        row.passed_over = {at for at in row.passed_over if at <= position}
        row.position, row.begins_after = position, min(row.begins_after, position)
        row.holder = None
        row.aside = {at: one for at, one in row.aside.items() if at <= position}
        return True

    async def resume(self, name: str) -> bool:
        await asyncio.sleep(0)
        row = self.rows.get(name)
        if row is None or row.paused_at is None:
            return False
        row.paused_at = row.paused_because = row.failing_since = None
        return True

    async def remove(self, name: str) -> bool:
        await asyncio.sleep(0)
        return self.rows.pop(name, None) is not None

    async def _turn(
        self, row: Row, found: list[SetAside], state: AsideState, attempts: int | None = None
    ) -> int:
        await asyncio.sleep(0)
        for one in found:
            tried = one.attempts if attempts is None else attempts
            self._put(row, replace(one, state=state, attempts=tried, pause=0.0))
        return len(found)

    def _resolve(self, row: Row, one: SetAside, read: int) -> None:
        if row.aside.pop(one.position, None) is None:
            return
        later = [
            change.position
            for change in self._store.changes
            if change.clerk_id == one.clerk_id
            and one.position < change.position <= read
            and change.position not in row.passed_over
        ]
        if later:
            state = AsideState.WAITING
            following = SetAside(position=later[0], clerk_id=one.clerk_id, state=state, attempts=0)
            self._put(row, following)

    def _with_passed_over(self, row: Row, since: int) -> Sequence[SetAside]:
        given_up = AsideState.GIVEN_UP
        passed_over = [
            SetAside(position=one.position, clerk_id=one.clerk_id, state=given_up, attempts=0)
            for one in self._store.changes
            if one.position in row.passed_over
            and one.position not in row.aside
            and one.position >= since
        ]
        return [*row.aside.values(), *passed_over]

    def _put(self, row: Row, one: SetAside) -> None:
        row.aside[one.position] = one
        active = [other.clerk_id for other in _active(row)]
        assert len(active) == len(set(active)), "a user has two changes set aside"
        row.due_at[one.position] = _now() + one.pause

    def _change(self, aside: SetAside) -> Change | None:
        of_user = [one for one in self._store.changes if one.clerk_id == aside.clerk_id]
        return next((one for one in of_user if one.position == aside.position), None)

    def _standing(self, name: str, row: Row, ends: LogEnds) -> SubscriptionStanding:
        def number(*states: AsideState) -> int:
            return sum(one.state in states for one in row.aside.values())

        following = [one for one in self._store.changes if one.position > row.position]
        ages = [(datetime.now(UTC) - one.recorded_at).total_seconds() for one in following]
        tries = (AsideState.WAITING, AsideState.SKIPPING)
        overdue = [
            _now() - row.due_at[position]
            for position, one in row.aside.items()
            if one.state in tries
        ]
        return SubscriptionStanding(
            name=name,
            wants=row.wants,
            position=row.position,
            begins_after=row.begins_after,
            holder=row.holder if row.held_until > _now() else None,
            behind=max(ends.newest - row.position, 0),
            behind_seconds=max([0.0, *ages[:1], *overdue]),
            waiting=number(*tries),
            parked=number(AsideState.PARKED),
            given_up=number(AsideState.GIVEN_UP),
            moved_at=row.moved_at,
            fell_behind=row.position > ends.newest or row.position < ends.oldest - 1,
            paused_at=row.paused_at,
            paused_because=row.paused_because,
        )


def _chosen(row: Row, states: AbstractSet[AsideState], position: int | None) -> list[SetAside]:
    return [
        one
        for one in _active(row)
        if one.position == position or (position is None and one.state in states)
    ]


def _active(row: Row) -> list[SetAside]:
    return [one for one in row.aside.values() if one.state is not AsideState.GIVEN_UP]


def _now() -> float:
    return asyncio.get_running_loop().time()
