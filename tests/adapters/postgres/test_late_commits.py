"""Writers that commit late: a reader by position misses none, a reader by id does."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.changes import Change
from domain.user import UserId
from tests.people import deleted, new_id, observed, user
from tests.postgres_server import Sql

HOLD = """
create function hold() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('the test'));
    return null;
end $$;
create trigger hold after insert on user_changes for each row
    when (new.clerk_id like 'user_held%') execute function hold()
"""
"""A change of such a user gets its id, and its statement then waits until the test continues."""

RELEASE_TRIGGER = "drop trigger hold on user_changes; drop function hold"
HELD, FREE = 6, 40


class ById:
    """The naive reader: it remembers the greatest id that it has seen."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._cursor = 0
        self.seen: list[str] = []

    async def read(self) -> None:
        rows = await self._sql.fetch(
            "select id, clerk_id from user_changes where id > $1 order by id", self._cursor
        )
        for row in rows:
            self._cursor = row["id"]
            self.seen.append(row["clerk_id"])


class ByPosition:
    """A reader as ours are."""

    def __init__(self, log: PostgresChangeLog) -> None:
        self._log = log
        self.changes: list[Change] = []

    async def read(self) -> None:
        await self._log.number()
        self.changes += await self._log.after(len(self.changes), 1000)

    @property
    def seen(self) -> list[str]:
        return [change.clerk_id for change in self.changes]


async def read_amid_writers_that_commit_late(
    database: Database, sql: Sql, read: Callable[[], Awaitable[None]]
) -> set[UserId]:
    """Call `read` while some writers are between their id and their commit, and again afterwards."""
    held = [UserId(f"user_held{number}") for number in range(HELD)]
    free = [new_id() for _ in range(FREE)]
    await sql.execute(HOLD)
    try:
        async with sql.transaction():
            await sql.execute("select pg_advisory_xact_lock(hashtext('the test'))")
            late: list[asyncio.Task[object]] = []
            for place, one in enumerate(free):
                if place % (FREE // HELD) == 0 and len(late) < HELD:
                    writer = PostgresUserRepository(database)
                    late.append(asyncio.create_task(writer.sync(observed(user(held[len(late)])))))
                    await _stands_still(sql, len(late))
                await PostgresUserRepository(database).sync(observed(user(one)))
                await read()
        await asyncio.gather(*late)
    finally:
        await sql.execute(RELEASE_TRIGGER)
    await read()
    return {*held, *free}


async def _stands_still(sql: Sql, number: int) -> None:
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    async with asyncio.timeout(30):
        while await sql.fetchval(waiting) < number:
            await asyncio.sleep(0.005)


async def test_a_reader_by_position_misses_no_late_commit(database: Database, sql: Sql) -> None:
    reader = ByPosition(PostgresChangeLog(database))
    everybody = await read_amid_writers_that_commit_late(database, sql, reader.read)
    assert sorted(reader.seen) == sorted(everybody)
    assert [one.position for one in reader.changes] == list(range(1, HELD + FREE + 1))


async def test_a_reader_by_id_misses_them(database: Database, sql: Sql) -> None:
    """The reason for positions. If this test fails, the test above proves nothing."""
    reader = ById(sql)
    everybody = await read_amid_writers_that_commit_late(database, sql, reader.read)
    with pytest.raises(AssertionError):
        assert sorted(reader.seen) == sorted(everybody)


async def test_many_readers_at_once_number_each_change_once_and_each_users_in_order(
    database: Database,
) -> None:
    people = [new_id() for _ in range(30)]
    writers = [PostgresUserRepository(database) for _ in range(4)]
    logs = [PostgresChangeLog(database) for _ in range(6)]

    async def lives(place: int) -> None:
        for version in range(6):
            for one in people[place::4]:
                await writers[(place + version) % 4].sync(observed(user(one, updated=version + 1)))
        await writers[place].sync_many([observed(deleted(one)) for one in people[place::4]])

    async def number(log: PostgresChangeLog) -> None:
        while not done.is_set():
            await log.number()

    done = asyncio.Event()
    numbering = [asyncio.create_task(number(log)) for log in logs]
    await asyncio.gather(*map(lives, range(4)))
    done.set()
    await asyncio.gather(*numbering)
    newest = await logs[0].number()
    changes = await logs[0].after(0, 10_000)
    assert newest == len(changes) == 30 * 7
    assert [change.position for change in changes] == list(range(1, 30 * 7 + 1))
    for one in people:
        assert [str(c.kind) for c in changes if c.clerk_id == one] == [
            "created",
            *["updated"] * 5,
            "deleted",
        ]
