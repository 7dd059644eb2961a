"""The `users` table, and the journal entry that goes with every write to it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
import orjson

from adapters.postgres.database import Connection, Database
from adapters.postgres.gathering import Gathering
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
from domain.user import (
    CONTENT_FIELDS,
    DeletedUser,
    LocalUser,
    Outcome,
    Source,
    User,
    UserChange,
    UserId,
    contents_of,
)

WORTH_HALVING = 100
"""Commands of a page."""

_NOTHING = (None,) * len(CONTENT_FIELDS)
_METADATA = CONTENT_FIELDS.index("public_metadata")

LocalRecord: TypeAlias = LocalUser | DeletedUser


class PostgresUserRepository(UserRepository, UserTable):
    """Take-the-greater as one statement; see `statements.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups: Gathering[UserId, LocalRecord | None] = Gathering(
            self._look_up, alone=self._look_up_alone, keys=lambda _: ()
        )
        self._writes: Gathering[SyncUser, SyncResult] = Gathering(
            self._write, alone=self._write_alone, keys=_keys
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
        parts = map(self._sync_part, _parts(commands))
        answers = await asyncio.gather(*parts, return_exceptions=True)
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
        return {record["clerk_id"]: _local(record) for record in records}

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        records = await self._database.run(
            lambda connection: connection.fetch(LIVE_IDS, after or "", limit)
        )
        return [record["clerk_id"] for record in records]


async def _sync(connection: Connection, commands: Sequence[SyncUser]) -> list[SyncResult]:
    waves = _waves(commands)
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


def _keys(command: SyncUser) -> list[str]:
    """What a statement can take only once: the user, and the delivery."""
    delivery = command.delivery
    return [command.change.clerk_id, *([f"delivery {delivery.svix_id}"] if delivery else [])]


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
    columns = map(_column, zip(*map(_row, commands), strict=True))
    records = await connection.fetch(statement, *columns)
    return {record["ordinal"] - 1: _result(record) for record in records}


def _parts(commands: Sequence[SyncUser]) -> list[Sequence[SyncUser]]:
    """Of a long page two halves: the store has one while we make the other ready.

    They are written at the same time, so they have nobody in common.
    """
    if len(commands) < WORTH_HALVING or not _are_distinct(commands):
        return [commands] if commands else []
    middle = len(commands) // 2
    return [commands[:middle], commands[middle:]]


def _raised(answer: list[SyncResult | None] | BaseException) -> list[SyncResult | None]:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _are_distinct(commands: Sequence[SyncUser]) -> bool:
    keys = [key for command in commands for key in _keys(command)]
    return len(keys) == len(set(keys))


def _waves(commands: Sequence[SyncUser]) -> list[list[int]]:
    """The commands' places, split so that a wave has each user and each svix id at most once."""
    if _are_distinct(commands):
        return [list(range(len(commands)))]
    waves: list[list[int]] = []
    next_wave: dict[str, int] = defaultdict(int)
    for index, command in enumerate(commands):
        keys = _keys(command)
        wave = max(next_wave[key] for key in keys)
        next_wave.update(dict.fromkeys(keys, wave + 1))
        if wave == len(waves):
            waves.append([])
        waves[wave].append(index)
    return waves


def _column(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A page's values of one column, or None for nothing but nulls: those need not be sent."""
    return None if values.count(None) == len(values) else values


def _row(command: SyncUser) -> tuple[Any, ...]:
    """One observation in the order of `PAGE_COLUMNS`."""
    delivery = command.delivery
    arrival = (
        (delivery.svix_id, delivery.event_type, delivery.occurred_at, delivery.body)
        if delivery
        else (None, None, None, None)
    )
    return (command.change.clerk_id, *_state(command.change), command.source.value, *arrival)


def _state(change: UserChange) -> tuple[Any, ...]:
    if isinstance(change, DeletedUser):
        return (None, None, None, change.deleted_at, *_NOTHING)
    return (change.clerk_updated_at, change.observed_at, change.digest, None, *_contents(change))


def _contents(user: User) -> list[Any]:
    values = list(contents_of(user))
    values[_METADATA] = _json(user.public_metadata)
    return values


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(metadata)).decode()
    except orjson.JSONEncodeError as error:
        raise Unstorable("metadata that is no JSON") from error


def _result(record: asyncpg.Record) -> SyncResult:
    return SyncResult(
        outcome=Outcome(record["outcome"]),
        deliveries=record["deliveries"],
        conflicting=record["conflicting"],
    )


def _local(record: asyncpg.Record) -> LocalRecord:
    columns = dict(record)
    deleted_at = columns.pop("deleted_at")
    if deleted_at is not None:
        return DeletedUser(clerk_id=columns["clerk_id"], deleted_at=deleted_at)
    columns["public_metadata"] = orjson.loads(columns["public_metadata"])
    columns["synced_by"] = Source(columns["synced_by"])
    user = object.__new__(LocalUser)
    vars(user).update(columns)  # all there, by name: `__init__` would take ten times as long
    return user
