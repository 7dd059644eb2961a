"""The `users` table, and the journal entry that goes with every write to it."""

import asyncio
from collections.abc import Mapping, Sequence

from adapters.postgres.batching import Gathering
from adapters.postgres.database import Connection, Database
from adapters.postgres.pages import in_parts, in_waves, keys_of
from adapters.postgres.rows import LocalRecord, columns_of, local_record, result_of
from adapters.postgres.statements import (
    ERASE_BODIES,
    GET_MANY,
    LIVE_IDS,
    LOCK_USERS,
    SYNC,
    SYNC_FREE,
)
from domain.errors import Unstorable
from domain.observation import SyncResult, SyncUser
from domain.ports import UserRepository, UserTable
from domain.user import DeletedUser, UserId


class PostgresUserRepository(UserRepository, UserTable):
    """Take-the-greater as one statement; see `statements.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A write waits for the disk, and the store can prepare another one meanwhile. A lookup
        # does not: the fewer and larger their pages, the less they cost.
        self._lookups: Gathering[UserId, LocalRecord | None] = Gathering(
            self._look_up, alone=self._look_up_alone, keys=lambda _: (), at_once=1
        )
        self._writes: Gathering[SyncUser, SyncResult] = Gathering(
            self._write, alone=self._write_alone, keys=keys_of, at_once=2
        )

    async def get(self, user_id: UserId) -> LocalRecord | None:
        return await self._lookups(user_id)

    async def _look_up(
        self, user_ids: Sequence[UserId], since: float
    ) -> Mapping[int, LocalRecord | None]:
        found = await self._get_many(user_ids, since)
        return {place: found.get(user_id) for place, user_id in enumerate(user_ids)}

    async def _look_up_alone(self, user_id: UserId, since: float) -> LocalRecord | None:
        return (await self._get_many([user_id], since)).get(user_id)

    async def sync(self, command: SyncUser) -> SyncResult:
        # A deletion is a transaction with locks of its own.
        if isinstance(command.change, DeletedUser):
            return await self._write_alone(command)
        return await self._writes(command)

    async def _write(self, commands: Sequence[SyncUser], since: float) -> Mapping[int, SyncResult]:
        return await self._database.run(
            lambda connection: _ask(connection, SYNC_FREE, commands), since
        )

    async def _write_alone(self, command: SyncUser, since: float | None = None) -> SyncResult:
        return (await self._sync_many([command], since))[0]

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        writing = map(self._sync_part, in_parts(commands))
        answers = await asyncio.gather(*writing, return_exceptions=True)
        return [result for answer in answers for result in _raised(answer)]

    async def _sync_part(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        try:
            return [*await self._sync_many(commands)]
        except Unstorable:
            return [await self._sync_or_leave(command) for command in commands]

    async def _sync_or_leave(self, command: SyncUser) -> SyncResult | None:
        """One that the store refuses must not keep the others of its page out."""
        try:
            return await self._write_alone(command)
        except Unstorable:
            return None

    async def _sync_many(
        self, commands: Sequence[SyncUser], since: float | None = None
    ) -> list[SyncResult]:
        return await self._database.run(lambda connection: _sync(connection, commands), since)

    async def get_many(self, user_ids: Sequence[UserId]) -> Mapping[UserId, LocalRecord]:
        return await self._get_many(user_ids)

    async def _get_many(
        self, user_ids: Sequence[UserId], since: float | None = None
    ) -> Mapping[UserId, LocalRecord]:
        records = await self._database.run(
            lambda connection: connection.fetch(GET_MANY, user_ids), since
        )
        return {record["clerk_id"]: local_record(record) for record in records}

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        records = await self._database.run(
            lambda connection: connection.fetch(LIVE_IDS, after or "", limit)
        )
        return [record["clerk_id"] for record in records]


async def _sync(connection: Connection, commands: Sequence[SyncUser]) -> list[SyncResult]:
    waves = in_waves(commands)
    deleted = sorted({c.change.clerk_id for c in commands if isinstance(c.change, DeletedUser)})
    if len(waves) == 1 and not deleted:
        return await _take_greater(connection, commands)
    async with connection.transaction():
        # Quarantine takes the same lock: no body slips in between the deletion and its erasure.
        await connection.fetch(LOCK_USERS, deleted)
        results = await _sync_waves(connection, commands, waves)
        # A statement of its own, and after the rows are locked: it must see what others committed.
        await connection.execute(ERASE_BODIES, deleted)
    return results


async def _sync_waves(
    connection: Connection, commands: Sequence[SyncUser], waves: list[list[int]]
) -> list[SyncResult]:
    results: dict[int, SyncResult] = {}
    for wave in waves:
        answers = await _take_greater(connection, [commands[index] for index in wave])
        results.update(zip(wave, answers, strict=True))
    return [results[index] for index in range(len(commands))]


async def _take_greater(connection: Connection, commands: Sequence[SyncUser]) -> list[SyncResult]:
    results = await _ask(connection, SYNC, commands)
    if len(results) < len(commands):
        # Another writer saw these users first, just now. This time their rows are there.
        lost = [index for index in range(len(commands)) if index not in results]
        answers = await _take_greater(connection, [commands[index] for index in lost])
        results.update(zip(lost, answers, strict=True))
    return [results[index] for index in range(len(commands))]


async def _ask(
    connection: Connection, statement: str, commands: Sequence[SyncUser]
) -> dict[int, SyncResult]:
    records = await connection.fetch(statement, *columns_of(commands))
    return {record["ordinal"] - 1: result_of(record) for record in records}


def _raised(answer: list[SyncResult | None] | BaseException) -> list[SyncResult | None]:
    if isinstance(answer, BaseException):
        raise answer
    return answer
