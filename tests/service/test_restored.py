"""A store that was restored from a backup betrays itself, until a full repair has run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.address import with_database
from adapters.postgres.database import Database
from adapters.postgres.history import COPIED, OLDER, RECOVERED, PostgresHistory
from adapters.postgres.migrate import migrate
from domain.history import notice
from scripts.clerk_emulator import ClerkEmulator
from tests.commands.commands import Operator
from tests.commands.scenes import ids_of
from tests.postgres_server import Sql
from tests.running import Service, running_service
from tests.service.dumps import dumped, empty_database, restored

MARKED = "select cursor from sync_checkpoints where name = 'store.mark'"


@pytest.fixture
async def history(database: Database) -> PostgresHistory:
    return PostgresHistory(database)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresHistory]:
    """The history of a store as a process that has just started sees it."""
    database = Database(url)
    await database.open()
    yield PostgresHistory(database)
    await database.close()


async def becomes_degraded(service: Service) -> None:
    async with asyncio.timeout(20):
        while "history" not in await service.degraded():
            await asyncio.sleep(0.05)


async def test_a_store_as_it_was_is_not_suspected(
    history: PostgresHistory, store_url: str, sql: Sql
) -> None:
    assert [await notice(history) for _ in range(3)] == [None] * 3
    await sql.execute("vacuum (full, freeze) sync_checkpoints")
    await sql.execute("vacuum (full, freeze) users")
    await sql.execute("update sync_checkpoints set saved_at = saved_at where name <> 'store.mark'")
    async with opened(store_url) as another:
        assert await notice(another) is None
    assert await history.unrepaired() is None


async def test_yesterdays_dump_in_a_new_database(
    clerk: ClerkEmulator, history: PostgresHistory, store_url: str, postgres_url: str
) -> None:
    """The whole way: a dump, a restore, what is said of it, and the repair."""
    clerk.create_users(4)
    known = ids_of(clerk)
    environment = {**clerk.config.environment(), "CLERK_RATE_LIMIT": "100000"}
    operator = Operator({**environment, "DATABASE_URL": store_url})
    assert (await operator.run("backfill")).code == 0
    await notice(history)
    yesterday = await asyncio.to_thread(dumped, store_url)
    clerk.delete_user(known[0])
    new = clerk.create_user(email_address=["new@example.com"])["id"]
    async with empty_database(postgres_url) as url:
        await asyncio.to_thread(restored, url, yesterday)
        operator = Operator({**environment, "DATABASE_URL": url})
        found = {one["about"]: one for one in (await operator.run("doctor", "--json")).records}
        assert (found["history"]["state"], COPIED in found["history"]["words"]) == ("bad", True)
        async with running_service(clerk, url) as service:
            await becomes_degraded(service)
            assert await service.metric("store_went_back") == 1
            assert (await operator.run("backfill", "--restart")).code == 0
            repaired = await operator.run("reconcile", "--full", "--repair")
            assert repaired.code == 0, repaired.said
            assert "history" not in await service.degraded()
            assert await service.metric("store_went_back") == 0
        found = {one["about"]: one for one in (await operator.run("doctor", "--json")).records}
        assert found["history"]["state"] == "ok"
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("select clerk_id, deleted_at is null from users")
        told = "select clerk_id, kind, source from user_changes order by id offset $1"
        changes = [tuple(row) for row in await connection.fetch(told, len(known))]
        await connection.close()
    assert dict(map(tuple, rows)) == {
        known[0]: False,
        **dict.fromkeys(ids_of(clerk), True),
    }
    assert changes == [(new, "created", "backfill"), (known[0], "deleted", "reconcile")]


@pytest.mark.parametrize("options", [["--clean", "--if-exists"], ["--data-only"], ["--inserts"]])
async def test_whatever_way_a_dump_is_restored(
    history: PostgresHistory, store_url: str, postgres_url: str, sql: Sql, options: list[str]
) -> None:
    await notice(history)
    dump = await asyncio.to_thread(dumped, store_url, *options)
    async with empty_database(postgres_url) as url:
        if options == ["--data-only"]:
            await migrate(url)
            connection = await asyncpg.connect(url)
            await connection.execute("delete from clerk_user_sync_version")
            await connection.close()
        await asyncio.to_thread(restored, url, dump)
        async with opened(url) as copy:
            assert await notice(copy) == COPIED
            assert await notice(copy) is None
            assert await copy.unrepaired() == COPIED


async def test_rows_put_back_into_their_own_tables(
    history: PostgresHistory, store_url: str, sql: Sql
) -> None:
    await notice(history)
    dump = await asyncio.to_thread(dumped, store_url, "--data-only", "--table", "sync_checkpoints")
    await sql.execute("delete from sync_checkpoints")
    await asyncio.to_thread(restored, store_url, dump)
    async with opened(store_url) as another:
        assert await notice(another) == COPIED


async def test_a_copy_by_a_template(postgres_url: str) -> None:
    name = f"copy_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
    try:
        async with empty_database(postgres_url) as url:
            await migrate(url)
            async with opened(url) as original:
                await notice(original)
            template = url.rpartition("/")[2]
            await connection.execute(f"create database {name} template {template}")
            async with opened(with_database(url, name)) as copy:
                assert await notice(copy) == COPIED
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


async def test_an_earlier_state_that_is_the_same_to_the_bit_is_noticed_by_who_saw_more(
    history: PostgresHistory, store_url: str, sql: Sql
) -> None:
    """As when a machine's snapshot comes back below a service that runs."""
    entry = "insert into sync_journal (svix_id, source, outcome) values ($1, 'webhook', 'created')"
    await sql.execute(entry, "msg_1")
    await notice(history)
    await sql.execute(entry, "msg_2")
    assert await notice(history) is None
    await sql.execute("delete from sync_journal where svix_id = 'msg_2'")
    assert await notice(history) == OLDER
    async with opened(store_url) as another:
        assert await notice(another) is None
        assert await another.unrepaired() == OLDER
    assert await notice(history) is None


class SlowHistory(PostgresHistory):
    """Its first look waits between what it reads."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.is_between, self.goes_on = asyncio.Event(), asyncio.Event()

    async def _timeline(self) -> str:
        if not self.is_between.is_set():
            self.is_between.set()
            await self.goes_on.wait()
        return await super()._timeline()


async def test_two_looks_at_once_do_not_take_each_other_for_a_later_state(
    database: Database, sql: Sql
) -> None:
    entry = "insert into sync_journal (svix_id, source, outcome) values ($1, 'webhook', 'created')"
    await sql.execute(entry, "msg_1")
    history = SlowHistory(database)
    one = asyncio.create_task(history.look())
    await history.is_between.wait()
    await sql.execute(entry, "msg_2")
    other = asyncio.create_task(history.look())
    await asyncio.wait({other}, timeout=0.5)
    history.goes_on.set()
    assert [(await look).reason for look in (one, other)] == [None, None]


async def test_another_timeline(history: PostgresHistory, store_url: str, sql: Sql) -> None:
    await notice(history)
    await mark_of_timeline(sql, "0000000A")
    assert await notice(history) == RECOVERED


async def test_a_mark_without_a_timeline_gets_one(history: PostgresHistory, sql: Sql) -> None:
    """The server did not answer when it was asked for it."""
    await notice(history)
    await mark_of_timeline(sql, "")
    assert await notice(history) is None
    assert not str(await sql.fetchval(MARKED)).endswith("/")
    assert (await history.look()).is_marked


async def mark_of_timeline(sql: Sql, timeline: str) -> None:
    """Rewrite the mark as a server that was recovered would find it."""
    place = "/".join((await sql.fetchval(MARKED)).split("/")[1:3])
    await sql.execute(
        "update sync_checkpoints set cursor = "
        "concat_ws('/', pg_current_xact_id()::text::numeric % 4294967296, $1::text, $2::text) "
        "where name = 'store.mark'",
        place,
        timeline,
    )


async def test_a_repair_before_anybody_noticed_counts(
    clerk: ClerkEmulator, history: PostgresHistory, store_url: str, sql: Sql
) -> None:
    await notice(history)
    await sql.execute("update sync_checkpoints set saved_at = saved_at where name = 'store.mark'")
    environment = {**clerk.config.environment(), "DATABASE_URL": store_url}
    ended = await Operator(environment).run("reconcile", "--full", "--repair")
    assert ended.code == 0
    assert f"The store went back: {COPIED}." in ended.said
    assert await history.unrepaired() is None
    assert await notice(history) is None
