"""Subscriptions to changes, for the process that delivers and for the operator."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

import asyncpg

from adapters.postgres.changes import PostgresChangeLog, change_of
from adapters.postgres.database import Database
from adapters.postgres.session import Session
from adapters.postgres.subscription_statements import (
    CHOSEN,
    DECLARE,
    DUE,
    FORGET_BEYOND,
    MOVE,
    NOTE_ATTEMPTS,
    NOTE_GIVEN_UP,
    PASS_OVER,
    PAUSE,
    READ,
    RELEASE,
    REMOVE,
    RESOLVE,
    RESUME,
    RETRY,
    REWIND,
    SET_ASIDE,
    SET_ASIDE_BY,
    SET_ASIDE_OF,
    SKIP,
    STANDINGS,
    TAKE,
    WAITING,
)
from domain.change_log import Due, Page, Progress, SubscriptionDesk, SubscriptionStore, without_gap
from domain.changes import Kind
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
from domain.user import Source, UserId


class PostgresSubscriptions(SubscriptionStore, SubscriptionDesk):
    """The tables `user_change_subscriptions` and `user_changes_set_aside`."""

    def __init__(self, database: Database, log: PostgresChangeLog) -> None:
        self._database = database
        self._log = log

    async def declare(self, subscription: Subscription) -> None:
        await self._log.number()  # what is visible now is the past
        wants = subscription.wants
        await self._database.run(
            lambda session: session.execute(
                DECLARE,
                subscription.name,
                sorted(wants.kinds),
                sorted(wants.sources),
                sorted(wants.fields),
                subscription.begin == "now",
            )
        )

    async def take(self, name: str, holder: str, seconds: float) -> int | None:
        position: int | None = await self._database.run(
            lambda session: session.fetchval(TAKE, name, holder, timedelta(seconds=seconds))
        )
        return position

    async def read(self, name: str, after: int, limit: int) -> Page:
        rows = await self._database.run(lambda session: session.fetch(READ, name, after, limit))
        if not rows and after > (await self._log.ends()).newest:
            raise FellBehind(f"position {after} is ahead of the log")
        changes = without_gap(after, [change_of(row) for row in rows])
        held = frozenset(row["clerk_id"] for row in rows if row["is_held"])
        return Page(changes=changes, held=held)

    async def due(self, name: str, in_hand: Sequence[UserId], limit: int) -> Due:
        waiting: int = await self._database.run(lambda session: session.fetchval(WAITING, name))
        if not waiting:
            return Due(changes=(), waiting=0)
        rows = await self._database.run(lambda session: session.fetch(DUE, name, in_hand, limit))
        changes = [(_aside(row), change_of(row) if row["kind"] else None) for row in rows]
        return Due(changes=changes, waiting=waiting)

    async def save(self, name: str, holder: str, progress: Progress, seconds: float) -> bool:
        async def move(session: Session) -> bool:
            period = timedelta(seconds=seconds)
            parameters = (name, holder, progress.position, period, progress.read)
            return bool(await session.fetchval(MOVE, *parameters))

        async def save(session: Session) -> bool:
            async with session.transaction():
                if not await move(session):
                    return False
                await _keep_aside(session, name, progress)
                return True

        return await self._database.run(save if progress.has_aside else move)

    async def note_attempts(self, name: str, holder: str, *, delivered: bool) -> float | None:
        failing_for: float | None = await self._database.run(
            lambda session: session.fetchval(NOTE_ATTEMPTS, name, holder, delivered)
        )
        return failing_for

    async def pause(self, name: str, holder: str, reason: str) -> bool:
        return bool(
            await self._database.run(lambda session: session.fetchval(PAUSE, name, holder, reason))
        )

    async def release(self, name: str, holder: str) -> None:
        await self._database.run(lambda session: session.execute(RELEASE, name, holder))

    async def standings(self) -> Sequence[SubscriptionStanding]:
        rows = await self._database.run(lambda session: session.fetch(STANDINGS))
        return [_standing(row) for row in rows]

    async def set_aside(self, name: str, limit: int) -> Sequence[SetAside]:
        rows = await self._database.run(lambda session: session.fetch(SET_ASIDE_BY, name, limit))
        return [_aside(row) for row in rows]

    async def aside_of(self, user_id: UserId, since: int = 0) -> Mapping[str, Sequence[SetAside]]:
        rows = await self._database.run(lambda session: session.fetch(SET_ASIDE_OF, user_id, since))
        asides: dict[str, list[SetAside]] = defaultdict(list)
        for row in rows:
            asides[row["subscription"]].append(_aside(row))
        return asides

    async def chosen(
        self, name: str, states: AbstractSet[AsideState], position: int | None = None
    ) -> int:
        number: int = await self._database.run(
            lambda session: session.fetchval(CHOSEN, name, position, sorted(states))
        )
        return number

    async def retry(self, name: str, position: int | None = None) -> int:
        return await self._changed(RETRY, name, position, sorted(RETRIED), repeat=True)

    async def skip(self, name: str, position: int | None = None) -> int:
        # A second try would find none parked, and say that nothing was to be given up.
        return await self._changed(SKIP, name, position, sorted(SKIPPED), repeat=False)

    async def rewind(self, name: str, position: int) -> bool:
        async def rewind(session: Session) -> bool:
            async with session.transaction():
                await session.execute(PASS_OVER, name, position)
                if not await session.fetchval(REWIND, name, position):
                    return False
                await session.execute(FORGET_BEYOND, name, position)
                return True

        return await self._database.run(rewind)

    async def resume(self, name: str) -> bool:
        return await self._found(RESUME, name)

    async def remove(self, name: str) -> bool:
        return await self._found(REMOVE, name)

    async def _found(self, statement: str, name: str) -> bool:
        return bool(
            await self._database.run(
                lambda session: session.fetchval(statement, name), repeat=False
            )
        )

    async def _changed(self, statement: str, *parameters: Any, repeat: bool) -> int:
        tag: str = await self._database.run(
            lambda session: session.execute(statement, *parameters), repeat=repeat
        )
        return int(tag.rpartition(" ")[2])


async def _keep_aside(session: Session, name: str, progress: Progress) -> None:
    if progress.aside:
        await session.execute(SET_ASIDE, name, *_columns(progress.aside))
    if gone := [*progress.resolved, *progress.given_up]:
        positions = [aside.position for aside in gone]
        await session.execute(RESOLVE, name, positions, progress.read)
    if given_up := progress.given_up:
        await session.execute(
            NOTE_GIVEN_UP,
            name,
            [aside.position for aside in given_up],
            [aside.clerk_id for aside in given_up],
            [aside.attempts for aside in given_up],
            [aside.error for aside in given_up],
        )


def _columns(asides: Sequence[SetAside]) -> list[list[Any]]:
    return [
        [aside.position for aside in asides],
        [aside.clerk_id for aside in asides],
        [aside.state.value for aside in asides],
        [aside.attempts for aside in asides],
        [timedelta(seconds=aside.pause) for aside in asides],
        [aside.error for aside in asides],
    ]


def _aside(row: asyncpg.Record) -> SetAside:
    return SetAside(
        position=row["position"],
        clerk_id=row["clerk_id"],
        state=AsideState(row["state"]),
        attempts=row["attempts"],
        error=row["error"],
        pause=row.get("pause", 0.0),
    )


def _standing(row: asyncpg.Record) -> SubscriptionStanding:
    columns = dict(row)
    wants = Wants(
        kinds=frozenset(map(Kind, columns.pop("kinds"))),
        sources=frozenset(map(Source, columns.pop("sources"))),
        fields=frozenset(columns.pop("fields")),
    )
    return SubscriptionStanding(wants=wants, **columns)
