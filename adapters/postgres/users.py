"""The `users` table, and the journal entries that are written with it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.postgres.batching import Batching
from adapters.postgres.create_statement import CREATE, OBSERVED
from adapters.postgres.database import Database
from adapters.postgres.rows import columns_of, local_record, row_of
from adapters.postgres.session import Session
from adapters.postgres.statements import (
    ERASE_BODIES,
    GET_MANY,
    JOURNAL_APART,
    LIVE_IDS,
    LOCK_USERS,
    SYNC,
    SYNC_SKIP_LOCKED,
    WITH_TRACES,
    WITHDRAW_VERSION,
)
from domain.errors import Unstorable
from domain.ports import UserRepository, UserTable
from domain.sync_user import DeliveryRecord, SyncResult, SyncUser, second_svix_id
from domain.user import LEAST_VERSION, DeletedUser, LocalRecord, Outcome, UserId

ROUNDS = 10
"""How often a user is sent whom the statement neither inserts nor finds."""

WORTH_HALVING = 100
"""From this many commands on, they are sent in two statements at the same time."""


class PostgresUserRepository(UserRepository, UserTable):
    """Takes the greater with one statement: see `statements.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Two batches of writes at once: while one waits for the disk, the store works on the other.
        # A lookup does not wait for the disk, so fewer and larger batches cost less.
        self._lookups: Batching[UserId, LocalRecord | None] = Batching(
            self._look_up, alone=self._look_up_alone, keys=lambda _: (), at_once=1
        )
        self._writes: Batching[SyncUser, SyncResult] = Batching(
            self._write, alone=self._write_alone, keys=keys_of, at_once=2
        )

    async def get(self, user_id: UserId) -> LocalRecord | None:
        return await self._lookups(user_id)

    async def sync(self, command: SyncUser) -> SyncResult:
        # A deletion needs its own transaction, with more locks.
        is_deletion = isinstance(command.change, DeletedUser)
        result = await (self._write_alone(command) if is_deletion else self._writes(command))
        if result.conflicting and command.delivery is not None:
            await self._journal_apart(command, command.delivery, result.outcome)
        return result

    async def sync_and_get(self, command: SyncUser) -> tuple[SyncResult, LocalRecord | None]:
        if command.delivery is None and not isinstance(command.change, DeletedUser):
            given = (*row_of(command)[:OBSERVED], command.traceparent)
            created = await self._database.run(lambda session: session.fetchrow(CREATE, *given))
            if created is not None:
                return SyncResult(outcome=Outcome.CREATED), local_record(created)
        return await self.sync(command), await self.get(command.change.clerk_id)

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        given = (user_id, version, LEAST_VERSION)
        found = await self._database.run(lambda session: session.fetchval(WITHDRAW_VERSION, *given))
        return found is not None

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        sent = map(self._sync_part, _parts(commands))
        # An error is raised after both parts have ended, so that no write continues unobserved.
        answers = await asyncio.gather(*sent, return_exceptions=True)
        results: list[SyncResult | None] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            results += answer
        return results

    async def get_many(
        self, user_ids: Sequence[UserId], since: float | None = None
    ) -> Mapping[UserId, LocalRecord]:
        records = await self._database.run(lambda session: session.fetch(GET_MANY, user_ids), since)
        return {record["clerk_id"]: local_record(record) for record in records}

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        records = await self._database.run(
            lambda session: session.fetch(LIVE_IDS, after or "", limit)
        )
        return [record["clerk_id"] for record in records]

    async def _journal_apart(
        self, command: SyncUser, delivery: DeliveryRecord, outcome: Outcome
    ) -> None:
        """Write a second entry, because the entry with this svix id is another delivery's."""
        change = command.change

        async def write(session: Session) -> None:
            async with session.transaction():
                # A deletion takes the same lock: it erases this body, or we see its tombstone.
                await session.fetch(LOCK_USERS, [change.clerk_id])
                await session.execute(
                    JOURNAL_APART,
                    second_svix_id(delivery.svix_id, delivery.body),
                    delivery.event_type,
                    change.clerk_id,
                    command.source.value,
                    delivery.occurred_at,
                    outcome.value,
                    None if isinstance(change, DeletedUser) else change.clerk_updated_at,
                    None if isinstance(change, DeletedUser) else delivery.body,
                )

        await self._database.run(write)

    async def _look_up(
        self, user_ids: Sequence[UserId], since: float
    ) -> Mapping[int, LocalRecord | None]:
        found = await self.get_many(user_ids, since)
        return {index: found.get(user_id) for index, user_id in enumerate(user_ids)}

    async def _look_up_alone(self, user_id: UserId, since: float) -> LocalRecord | None:
        return (await self.get_many([user_id], since)).get(user_id)

    async def _write(self, commands: Sequence[SyncUser], since: float) -> Mapping[int, SyncResult]:
        return await self._database.run(
            lambda session: _send(session, SYNC_SKIP_LOCKED, commands), since
        )

    async def _write_alone(self, command: SyncUser, since: float | None = None) -> SyncResult:
        [result] = await self._sync_all([command], since)
        if result is None:
            raise Unstorable("a trigger on users leaves the row out")
        return result

    async def _sync_part(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        try:
            return await self._sync_all(commands)
        except Unstorable:
            return [await self._sync_or_skip(command) for command in commands]

    async def _sync_or_skip(self, command: SyncUser) -> SyncResult | None:
        """Apply one command of a refused batch; None if it is one that the store refuses."""
        try:
            return await self._write_alone(command)
        except Unstorable:
            return None

    async def _sync_all(
        self, commands: Sequence[SyncUser], since: float | None = None
    ) -> list[SyncResult | None]:
        """A result is None if a trigger of the host's leaves the row out."""
        return await self._database.run(lambda session: _sync(session, commands), since)


async def _sync(session: Session, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
    waves = _waves(commands)
    deleted = sorted({c.change.clerk_id for c in commands if isinstance(c.change, DeletedUser)})
    if len(waves) == 1 and not deleted:
        return await _take_greater(session, commands)
    results: dict[int, SyncResult | None] = {}
    async with session.transaction():
        # Quarantine takes the same lock: no body can be stored between deletion and erasure.
        await session.fetch(LOCK_USERS, deleted)
        for wave in waves:
            answers = await _take_greater(session, [commands[index] for index in wave])
            results.update(zip(wave, answers, strict=True))
        # A separate statement after the rows are locked, to see what others have committed.
        await session.execute(ERASE_BODIES, deleted)
    return [results[index] for index in range(len(commands))]


async def _take_greater(session: Session, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
    results: dict[int, SyncResult] = {}
    left: Sequence[int] = range(len(commands))
    for _ in range(ROUNDS):
        answers = await _send(session, SYNC, [commands[index] for index in left])
        results.update((left[nth], answer) for nth, answer in answers.items())
        # Another writer inserted the others at the same time: send them again.
        left = [index for index in left if index not in results]
        if not left:
            break
    return [results.get(index) for index in range(len(commands))]


async def _send(
    session: Session, statement: str, commands: Sequence[SyncUser]
) -> dict[int, SyncResult]:
    columns: list[Sequence[Any] | None] = [*columns_of(commands)]
    traces = [command.traceparent for command in commands]
    if any(traces):
        statement = WITH_TRACES[statement]
        columns.append(traces)
    records = await session.fetch(statement, *columns)
    return {
        record["ordinal"] - 1: SyncResult(
            outcome=Outcome(record["outcome"]),
            deliveries=record["deliveries"],
            conflicting=record["conflicting"],
        )
        for record in records
    }


def keys_of(command: SyncUser) -> list[str]:
    """The user and the delivery: a statement can have each of them only once."""
    delivery = command.delivery
    return [command.change.clerk_id, *([f"delivery {delivery.svix_id}"] if delivery else [])]


def _parts(commands: Sequence[SyncUser]) -> list[Sequence[SyncUser]]:
    """Two halves of many commands, to be sent at the same time: the store works on one half while
    the other is prepared. They have no user in common.
    """
    if len(commands) < WORTH_HALVING or not _are_distinct(commands):
        return [commands] if commands else []
    middle = len(commands) // 2
    return [commands[:middle], commands[middle:]]


def _waves(commands: Sequence[SyncUser]) -> list[list[int]]:
    """The indexes of the commands, in waves that have each user and each svix id at most once."""
    if _are_distinct(commands):
        return [list(range(len(commands)))]
    waves: list[list[int]] = []
    next_wave: dict[str, int] = defaultdict(int)
    for index, command in enumerate(commands):
        taken = keys_of(command)
        wave = max(next_wave[key] for key in taken)
        next_wave.update(dict.fromkeys(taken, wave + 1))
        if wave == len(waves):
            waves.append([])
        waves[wave].append(index)
    return waves


def _are_distinct(commands: Sequence[SyncUser]) -> bool:
    taken = [key for command in commands for key in keys_of(command)]
    return len(taken) == len(set(taken))
