"""The store of a simulated world: in memory, or a real Postgres while virtual time stands still."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import asyncpg
import orjson

from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.columns import JSON_COLUMNS
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.users import PostgresUserRepository
from domain.journal import Journal, JournalEntry, JournalQuery
from domain.ports import Checkpoints, UserRepository, UserTable
from domain.sync_user import SyncResult, SyncUser, UnreadableDelivery
from domain.user import KEPT_FIELDS, DeletedUser, LocalUser, UserChange, UserId
from tests.fakes.store import InMemoryStore
from tests.postgres_server import EMPTY, Sql

Answer = TypeVar("Answer")
Row = Mapping[str, Any]
"""The columns of `users` that are compared with Clerk."""

_IN_THE_FUTURE = timedelta(days=-1)
_COLUMNS = ("clerk_id", "deleted_at", "clerk_updated_at", *KEPT_FIELDS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry."""

    svix_id: str | None
    clerk_id: str | None
    deliveries: int
    has_body: bool


class Store(UserRepository, UserTable, Journal, Checkpoints, Protocol):
    """Every store port, and a view of the tables without our own code."""

    async def forget_bodies(self) -> None: ...

    def table(self) -> list[Row]: ...

    def entries_made(self) -> list[Entry]: ...


class MemoryStore(InMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._cursors: dict[str, str] = {}
        self._saved_at: dict[str, float] = {}

    async def load(self, name: str) -> str | None:
        return self._cursors.get(name)

    async def save(self, name: str, cursor: str) -> None:
        self._cursors[name] = cursor
        self._saved_at[name] = asyncio.get_running_loop().time()

    async def save_first(self, name: str, cursor: str) -> str:
        if name not in self._cursors:
            await self.save(name, cursor)
        return self._cursors[name]

    async def clear(self, name: str) -> None:
        self._cursors.pop(name, None)

    async def age(self, name: str) -> timedelta | None:
        if name not in self._cursors:
            return None
        return timedelta(seconds=asyncio.get_running_loop().time() - self._saved_at[name])

    async def forget_bodies(self) -> None:
        self.journal = [replace(entry, body=None) for entry in self.journal]

    def table(self) -> list[Row]:
        return [_row(row.state) for row in self.rows.values()]

    def entries_made(self) -> list[Entry]:
        return [
            Entry(one.svix_id, one.clerk_id, one.deliveries, one.body is not None)
            for one in self.journal
        ]


class PostgresStore:
    """Our Postgres adapters. Each call ends before anything else in the world happens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database, sql: Sql) -> None:
        self._loop = loop
        self._sql = sql
        self._users = PostgresUserRepository(database)
        self._journal = PostgresJournal(database)
        self._checkpoints = PostgresCheckpoints(database)
        self._retention = PostgresRetention(database)

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        return self._now(self._users.get(user_id))

    async def sync(self, command: SyncUser) -> SyncResult:
        return self._now(self._users.sync(command))

    async def sync_and_get(
        self, command: SyncUser
    ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
        return self._now(self._users.sync_and_get(command))

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        return self._now(self._users.sync_many(commands))

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        return self._now(self._users.withdraw_version(user_id, version))

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        return self._now(self._users.get_many(user_ids))

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        return self._now(self._users.live_ids(after=after, limit=limit))

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        self._now(self._journal.quarantine(delivery))

    async def quarantined(self) -> int:
        return self._now(self._journal.quarantined())

    async def dismiss(self, query: JournalQuery) -> int:
        return self._now(self._journal.dismiss(query))

    async def count(self, query: JournalQuery) -> int:
        return self._now(self._journal.count(query))

    async def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        for entry in self._now(_listed(self._journal.deliveries(query))):
            yield entry

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        return self._now(self._journal.history(user_id))

    async def load(self, name: str) -> str | None:
        return self._now(self._checkpoints.load(name))

    async def save(self, name: str, cursor: str) -> None:
        self._now(self._checkpoints.save(name, cursor))

    async def save_first(self, name: str, cursor: str) -> str:
        return self._now(self._checkpoints.save_first(name, cursor))

    async def clear(self, name: str) -> None:
        self._now(self._checkpoints.clear(name))

    async def age(self, name: str) -> timedelta | None:
        return self._now(self._checkpoints.age(name))

    async def forget_bodies(self) -> None:
        while self._now(self._retention.expire_bodies(_IN_THE_FUTURE, 500)):
            pass

    def empty(self) -> None:
        """Delete every row."""
        self._now(self._sql.execute(EMPTY))

    def table(self) -> list[Row]:
        found = self._now(
            self._sql.fetch(f"select {', '.join(_COLUMNS)} from users order by clerk_id")
        )
        return [dict(row) for row in found]

    def entries_made(self) -> list[Entry]:
        found = self._now(
            self._sql.fetch(
                "select svix_id, clerk_id, deliveries, body is not null from sync_journal"
            )
        )
        return [Entry(*row) for row in found]

    def _now(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return _done_in(self._loop, work)


@contextmanager
def postgres_store(url: str) -> Iterator[PostgresStore]:
    """A connected store, on an event loop of its own thread, in real time."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    database = Database(url, PoolLimits(size=2))
    _done_in(loop, database.open())
    sql = _done_in(loop, _connected(url))
    try:
        yield PostgresStore(loop, database, sql)
    finally:
        _done_in(loop, sql.close())
        _done_in(loop, database.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _done_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run_coroutine_threadsafe(work, loop).result(30)


async def _connected(url: str) -> Sql:
    return await asyncpg.connect(url)


async def _listed(entries: AsyncIterator[JournalEntry]) -> list[JournalEntry]:
    return [entry async for entry in entries]


def _row(state: UserChange) -> Row:
    columns: dict[str, Any] = {name: getattr(state, name, None) for name in _COLUMNS}
    if not isinstance(state, DeletedUser):
        for name in JSON_COLUMNS:
            columns[name] = orjson.dumps(columns[name])
    return columns
