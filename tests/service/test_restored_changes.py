"""After a dump is restored, no position is given to another change."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from adapters.postgres.change_statements import MOVE_POSITIONS
from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.history import COPIED, RECOVERED, PostgresHistory
from adapters.postgres.session import qualified
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import Progress
from domain.changes import Change
from domain.errors import FellBehind, StorageUnavailable
from domain.history import notice
from domain.instance import Instance
from domain.subscriptions import Subscription
from domain.user import LocalUser, Source
from scripts.clerk_emulator import ClerkEmulator
from service.bootstrap import bootstrap
from service.bootstrap.store import store_of
from service.bootstrap.work import working
from service.changes import Changes
from service.log import line_logger
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.settings import Settings
from tests.e2e.locks import somebody_waits
from tests.people import new_id, observed, user
from tests.postgres_server import Sql
from tests.running import settings_for
from tests.service.dumps import dumped, empty_database, restored


@pytest.fixture
async def history(database: Database) -> PostgresHistory:
    return PostgresHistory(database)


@asynccontextmanager
async def nothing_can_move(sql: Sql) -> AsyncIterator[None]:
    """Another transaction writes positions, and ends with the block."""
    async with sql.transaction():
        await sql.execute("update user_change_subscriptions set position = position")
        yield


async def somebody_waits_or(task: asyncio.Task[Any], sql: Sql) -> None:
    async with asyncio.timeout(20):
        while not (task.done() or await somebody_waits(sql)):
            await asyncio.sleep(0.01)
            await sql.execute("select pg_stat_clear_snapshot()")  # to see sessions that are new


async def one_more_change(users: PostgresUserRepository, log: PostgresChangeLog) -> int:
    await users.sync(observed(user(new_id())))
    return await log.number()


async def test_positions_go_on_beyond_any_that_was_given_since_the_dump(
    database: Database, history: PostgresHistory, store_url: str, postgres_url: str
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    mail = Subscription(name="mail", begin="oldest")
    subscriptions = PostgresSubscriptions(database, log)
    await notice(history)
    for _ in range(5):
        await one_more_change(users, log)
    await subscriptions.declare(mail)
    assert await subscriptions.take("mail", "us", 60) == 0
    assert await subscriptions.save("mail", "us", Progress(position=3, read=3), 60)
    dump = await asyncio.to_thread(dumped, store_url)
    since = [await one_more_change(users, log) for _ in range(4)]
    assert since == [6, 7, 8, 9]

    async with empty_database(postgres_url) as url:
        await asyncio.to_thread(restored, url, dump)
        database = Database(url)
        await database.open()
        users, log = PostgresUserRepository(database), PostgresChangeLog(database)
        subscriptions = PostgresSubscriptions(database, log)
        assert await notice(PostgresHistory(database)) == COPIED
        newest = await one_more_change(users, log)
        assert newest > time.time() * 1000 - 60_000
        position = await subscriptions.take("mail", "another", 60)
        assert position == newest - 3, "it goes on with the fourth"
        page = await subscriptions.read("mail", position, 10)
        assert [one.position for one in page.changes] == [newest - 2, newest - 1, newest]
        for reader in (3, 5, 9):
            with pytest.raises(FellBehind):
                await log.after(reader, 10)
        await PostgresHistory(database).note(COPIED)  # as a process that noticed it meanwhile
        assert await one_more_change(users, log) == newest + 1
        [standing] = await subscriptions.standings()
        assert (standing.behind, standing.fell_behind, standing.holder) == (4, False, "another")
        await database.close()


async def test_positions_stay_where_the_store_did_not_come_from_a_dump(
    database: Database, history: PostgresHistory
) -> None:
    """A standby that takes over has them all."""
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    await one_more_change(users, log)
    await history.note(RECOVERED)
    assert await one_more_change(users, log) == 2


async def test_positions_move_however_long_it_takes_and_who_needs_one_is_told_to_wait(
    database: Database, store_url: str, sql: Sql
) -> None:
    users = PostgresUserRepository(database)
    await one_more_change(users, PostgresChangeLog(database))
    await users.sync(observed(user(new_id())))
    await notice(PostgresHistory(database))
    await sql.execute("update sync_checkpoints set saved_at = saved_at where name = 'store.mark'")
    impatient = Database(f"{store_url}?statement_timeout=1000", PoolLimits(deadline=1, grace=1))
    await impatient.open()
    store = store_of(impatient, store_url, Instance(None))
    async with nothing_can_move(sql):
        noted = asyncio.create_task(notice(PostgresHistory(impatient)))
        await somebody_waits_or(noted, sql)
        with pytest.raises(StorageUnavailable, match="positions of changes have to move"):
            await store.changes.number()
        await asyncio.sleep(1)
    assert await noted == COPIED
    assert await store.changes.number() > time.time() * 1000 - 60_000
    await impatient.close()


async def test_the_oldest_change_is_the_same_one_when_positions_have_moved(
    database: Database, history: PostgresHistory, sql: Sql
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    subscriptions = PostgresSubscriptions(database, log)
    for _ in range(4):
        await one_more_change(users, log)
    await subscriptions.declare(Subscription(name="mail"))
    await sql.execute(
        "insert into user_changes_set_aside (subscription, clerk_id, position, state, attempts, due_at) "
        "select 'mail', clerk_id, position, 'parked', 0, now() from user_changes where position = 1"
    )
    assert await log.expire(timedelta(seconds=-60), 10) == 2
    await history.note(COPIED)
    ends = await log.ends()
    assert ends.oldest == ends.newest > 4


async def test_what_a_rewind_passed_over_is_the_same_when_positions_have_moved(
    database: Database, history: PostgresHistory
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    subscriptions = PostgresSubscriptions(database, log)
    await subscriptions.declare(Subscription(name="mail"))
    await one_more_change(users, log)
    ada = new_id()
    await users.sync(observed(user(ada)))
    await subscriptions.rewind("mail", await log.number())
    await history.note(COPIED)
    [passed_over] = (await subscriptions.aside_of(ada))["mail"]
    assert [one.position for one in await log.history(ada)] == [passed_over.position]


async def test_a_log_that_nobody_has_read_has_no_positions_to_move(
    database: Database, history: PostgresHistory
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    await users.sync(observed(user(new_id())))
    await history.note(COPIED)
    assert await log.number() == 1


async def test_a_subscription_that_is_declared_while_positions_move_begins_with_the_oldest(
    database: Database, history: PostgresHistory, sql: Sql
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    subscriptions = PostgresSubscriptions(database, log)
    await one_more_change(users, log)
    move = sql.transaction()
    await move.start()
    await sql.execute(qualified(MOVE_POSITIONS, None))
    declared = asyncio.create_task(subscriptions.declare(Subscription(name="mail", begin="oldest")))
    await somebody_waits_or(declared, sql)
    await move.commit()
    await declared
    position = await subscriptions.take("mail", "us", 60)
    assert position is not None
    assert len((await subscriptions.read("mail", position, 10)).changes) == 1


async def test_a_change_that_is_set_aside_while_positions_move_moves_too(
    database: Database, history: PostgresHistory, sql: Sql
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    subscriptions = PostgresSubscriptions(database, log)
    await one_more_change(users, log)
    await subscriptions.declare(Subscription(name="mail", begin="oldest"))
    save = sql.transaction()
    await save.start()
    await sql.execute("update user_change_subscriptions set position = 1")
    await sql.execute(
        "insert into user_changes_set_aside (subscription, clerk_id, position, state, attempts, due_at) "
        "select 'mail', clerk_id, position, 'waiting', 0, now() from user_changes"
    )
    noted = asyncio.create_task(history.note(COPIED))
    await somebody_waits_or(noted, sql)
    await save.commit()
    await noted
    moved = "select count(*) from user_changes_set_aside join user_changes using (position)"
    assert await sql.fetchval(moved) == 1


def served(settings: Settings, changes: Changes, *how: Any) -> AbstractAsyncContextManager[object]:
    return bootstrap(settings, *how, changes=changes)


@pytest.mark.parametrize("process", [working, served])
async def test_no_process_gives_a_position_in_a_restored_store_before_they_have_moved(
    *,
    process: Callable[..., AbstractAsyncContextManager[object]],
    clerk: ClerkEmulator,
    database: Database,
    history: PostgresHistory,
    store_url: str,
    postgres_url: str,
) -> None:
    users, log = PostgresUserRepository(database), PostgresChangeLog(database)
    await notice(history)
    await one_more_change(users, log)
    await users.sync(observed(user(new_id())))  # without a position in the dump
    dump = await asyncio.to_thread(dumped, store_url)
    handled = asyncio.Queue[int]()
    changes = Changes()

    @changes.on(name="mail", begin="oldest", sources=[*Source])
    async def mail(change: Change, _: LocalUser | None) -> None:
        handled.put_nowait(change.position)

    async with empty_database(postgres_url) as url:
        await asyncio.to_thread(restored, url, dump)
        quiet = line_logger("critical", "json", LogWriter(None, str))
        async with process(settings_for(clerk, url), changes, Metrics(), quiet):
            async with asyncio.timeout(20):
                first, second = [await handled.get(), await handled.get()]
    assert (second - first, first > time.time() * 1000 - 60_000) == (1, True)
