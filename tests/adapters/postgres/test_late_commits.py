"""Writers that commit late: a reader by position misses none, a reader by id does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg
import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.numbering import ENOUGH, Numbering
from adapters.postgres.session import Session
from adapters.postgres.users import PostgresUserRepository
from domain.changes import Change
from domain.user import UserId
from tests.e2e.processes import eventually
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


MANY_CHANGES = """
insert into user_changes (clerk_id, user_id, kind, changed, source, occurred_at)
select 'user_' || gen_random_uuid(), gen_random_uuid(), 'created', '{}', 'webhook', now()
from generate_series(1, 2000)
"""


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


@pytest.mark.parametrize("enough", [1, ENOUGH])
async def test_a_reader_by_position_misses_no_late_commit(
    database: Database, sql: Sql, enough: int
) -> None:
    """Also if its looks begin as early as they can behind what it has numbered."""
    reader = ByPosition(PostgresChangeLog(database, Numbering(database, enough)))
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
    logs = [PostgresChangeLog(database, Numbering(database, enough=1)) for _ in range(6)]

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


async def test_a_late_commit_is_numbered_though_much_was_settled_meanwhile(
    database: Database, sql: Sql
) -> None:
    """What is committed after the writer's id was given settles nothing: it may come any time."""
    numbering = Numbering(database, enough=1)
    late = UserId("user_held")
    await sql.execute(HOLD)
    try:
        async with sql.transaction():
            await sql.execute("select pg_advisory_xact_lock(hashtext('the test'))")
            writer = PostgresUserRepository(database)
            held = asyncio.create_task(writer.sync(observed(user(late))))
            await _stands_still(sql, 1)
            for _ in range(30):
                await PostgresUserRepository(database).sync(observed(user(new_id())))
                assert await numbering.number() > 0
        await held
    finally:
        await sql.execute(RELEASE_TRIGGER)
    assert await numbering.number() == 31


class Watched:
    """A database that keeps what it was asked last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Session | None = None
        self.asked: tuple[Any, ...] = ()

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def watched(session: Session) -> Any:
            self._session = session
            return await work(self)

        return await self._database.run(watched)

    async def fetch(self, *asked: Any) -> Any:
        assert self._session is not None
        self.asked = asked
        return await self._session.fetch(*asked)

    async def execute(self, *asked: Any) -> Any:
        assert self._session is not None
        return await self._session.execute(*asked)


async def blocks_read_by_a_look(numbering: Numbering, watched: Watched, sql: Sql) -> int:
    assert await numbering.number() == 20_000
    statement, *values = watched.asked
    explain = "explain (analyze, buffers, format json) " + statement.replace("our.", "")
    [plan] = json.loads(await sql.fetchval(explain, *values))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_a_transaction_that_somebody_holds_open_slows_no_look(
    database: Database, sql: Sql, store_url: str
) -> None:
    """It keeps the server from clearing its index of what was once without a position."""
    watched = Watched(database)
    as_database = cast("Database", watched)
    numbering, unaware = Numbering(as_database), Numbering(as_database, enough=10**9)
    holder = await asyncpg.connect(store_url)
    try:
        async with holder.transaction(isolation="repeatable_read"):
            await holder.execute("select from users")
            for _ in range(10):
                await sql.execute(MANY_CHANGES)
                for _ in range(3):
                    await numbering.number()
            slow = await blocks_read_by_a_look(unaware, watched, sql)
            assert slow > 100, "otherwise this proves nothing"

            async def is_quick() -> bool:
                return await blocks_read_by_a_look(numbering, watched, sql) < slow / 3

            # A writer that an earlier test left in this database is waited for too, while it lasts.
            await eventually(is_quick, 60)
    finally:
        await holder.close()


async def test_numbering_begins_anew_when_the_log_went_back(database: Database, sql: Sql) -> None:
    """As after a failover that loses the newest changes. Others get their ids."""
    numbering = Numbering(database, enough=1)
    for _ in range(5):
        await PostgresUserRepository(database).sync(observed(user(new_id())))
        for _ in range(3):
            await numbering.number()
    await sql.execute("delete from user_changes where position > 2")
    newest = "select max(id) from user_changes"
    restart = await sql.fetchval(newest) + 1
    await sql.execute(f"alter table user_changes alter id restart with {restart}")
    for _ in range(2):
        await PostgresUserRepository(database).sync(observed(user(new_id())))
    assert await numbering.number() == 4
    assert not await sql.fetchval("select count(*) from user_changes where position is null")
