"""Errors that a store sends over a healthy connection, and the errors for the caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable, Unstorable
from domain.user import LocalUser
from tests.adapters.postgres.faults import every_session_with, refusals, refusing
from tests.e2e.locks import row_locked, waiting_for_locks
from tests.e2e.processes import eventually
from tests.people import deleted, delivered, new_id, observed, outcomes_of, user
from tests.postgres_server import Sql, temporary_database

PATIENT = PoolLimits(size=4, wait=30, connect=30, deadline=60)
"""Long timeouts of ours, so that the store's timeouts apply."""

PASSING = {"serialization failure": "40001", "deadlock": "40P01"}
LASTING = {
    "disk full": "53100",
    "out of memory": "53200",
    "too many connections": "53300",
    "lock timeout": "55P03",
    "statement timeout": "57014",
    "read-only": "25006",
    "input or output": "58030",
    "index corrupted": "XX002",
    "no permission": "42501",
    "no such table": "42P01",
}
ABOUT_THE_CONTENT = {
    "not text": "22021",
    "a violated check": "23514",
    "too much of it": "54000",
    "refused by a host's trigger": "P0001",
}
KEEPING_OUT = {
    "a check": "alter table users add constraint for_a_test check (clerk_id <> '{user_id}')",
    "a trigger that raises": """
        create function for_a_test() returns trigger language plpgsql as $$
        begin raise exception 'not this one'; end $$;
        create trigger for_a_test before insert on users for each row
        when (new.clerk_id = '{user_id}') execute function for_a_test()
    """,
    "a trigger that leaves it out": """
        create function for_a_test() returns trigger language plpgsql as $$
        begin return null; end $$;
        create trigger for_a_test before insert on users for each row
        when (new.clerk_id = '{user_id}') execute function for_a_test()
    """,
}
NO_LONGER = """
    alter table users drop constraint if exists for_a_test;
    drop function if exists for_a_test cascade
"""


@pytest.fixture
async def users(database: Database) -> PostgresUserRepository:
    return PostgresUserRepository(database)


@asynccontextmanager
async def new_sessions(url: str) -> AsyncIterator[PostgresUserRepository]:
    """A database opened now, with the settings that apply now."""
    database = Database(url, PATIENT)
    await database.open()
    yield PostgresUserRepository(database)
    await database.close()


@pytest.mark.parametrize("sqlstate", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_transient_error_is_repeated_without_the_caller_noticing(
    sqlstate: str, times: int, users: PostgresUserRepository, sql: Sql
) -> None:
    async with refusing(sql, sqlstate, times=times):
        assert (await users.sync(delivered(user(new_id())))).outcome == "created"
        assert await refusals(sql) == times + 1


@pytest.mark.parametrize("sqlstate", PASSING.values(), ids=PASSING)
async def test_a_passing_failure_that_does_not_pass_is_tried_three_times(
    sqlstate: str, users: PostgresUserRepository, sql: Sql
) -> None:
    async with refusing(sql, sqlstate):
        with pytest.raises(StorageUnavailable, match=sqlstate):
            await users.sync(delivered(user(new_id())))
        assert await refusals(sql) == 3


async def test_a_store_without_our_tables_is_told_by_what_to_run(postgres_url: str) -> None:
    async with (
        temporary_database(postgres_url, f"empty_{new_id()}") as url,
        new_sessions(url) as users,
    ):
        with pytest.raises(StorageUnavailable, match="clerk-user-sync migrate"):
            await users.get(new_id())


@pytest.mark.parametrize("sqlstate", LASTING.values(), ids=LASTING)
async def test_a_store_in_trouble_is_unavailable_at_once_and_well_when_the_trouble_is_over(
    sqlstate: str, users: PostgresUserRepository, sql: Sql
) -> None:
    command = delivered(user(new_id()))
    async with refusing(sql, sqlstate):
        with pytest.raises(StorageUnavailable, match=sqlstate):
            await users.sync(command)
        assert await refusals(sql) == 1
    assert (await users.sync(command)).outcome == "created"


@pytest.mark.parametrize("sqlstate", ABOUT_THE_CONTENT.values(), ids=ABOUT_THE_CONTENT)
async def test_refused_content_is_unstorable_and_not_unavailable(
    sqlstate: str, users: PostgresUserRepository, sql: Sql
) -> None:
    async with refusing(sql, sqlstate):
        with pytest.raises(Unstorable, match=sqlstate):
            await users.sync(delivered(user(new_id())))
        assert await refusals(sql) == 1


@pytest.mark.parametrize("table", ["users", "sync_journal"])
async def test_a_row_and_its_entry_are_written_together_or_not_at_all(
    table: str, users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    async with refusing(sql, "53100", table=table):
        with pytest.raises(StorageUnavailable):
            await users.sync(delivered(user(user_id)))
    assert await sql.fetchval("select count(*) from users") == 0
    assert await sql.fetchval("select count(*) from sync_journal") == 0


async def test_concurrent_writers_of_one_user_end_well_in_a_store_that_defaults_to_snapshots(
    store_url: str, sql: Sql
) -> None:
    """At this isolation level a concurrent change is a serialization failure."""
    user_id = new_id()
    async with (
        every_session_with(sql, "default_transaction_isolation", "repeatable read"),
        new_sessions(store_url) as users,
    ):
        await users.sync(delivered(user(user_id)))
        for version in range(1, 20, 2):
            await asyncio.gather(
                users.sync(delivered(user(user_id, updated=version))),
                users.sync(delivered(user(user_id, updated=version + 1))),
            )
        last = await users.get(user_id)
    assert isinstance(last, LocalUser)
    assert last.clerk_updated_at == user(user_id, updated=20).clerk_updated_at


async def test_the_victim_of_a_deadlock_with_an_outsider_tries_again(
    store_url: str, sql: Sql
) -> None:
    """The outsider waits for ours first: who closes the ring is the one to look for it, and loses.

    Ours would not get as far as to hold the first row and want the last, were it not for somebody
    who has the one between until then.
    """
    first, between, last = people = sorted(new_id() for _ in range(3))
    outsider, bystander = await asyncpg.connect(store_url), await asyncpg.connect(store_url)
    async with (
        every_session_with(sql, "deadlock_timeout", "100ms"),
        new_sessions(store_url) as users,
    ):
        await users.sync_many([observed(user(one)) for one in people])
        await outsider.execute("set deadlock_timeout = '1min'")
        async with outsider.transaction():
            await lock(outsider, last)
            async with bystander.transaction():
                await lock(bystander, between)
                page = [observed(user(one, updated=1)) for one in people]
                ours = asyncio.create_task(users.sync_many(page))
                await so_many_wait_for_locks(sql, 1)
                closing = asyncio.create_task(lock(outsider, first))
                await so_many_wait_for_locks(sql, 2)
            await closing
        assert set(outcomes_of(await ours)) == {"updated"}
    for connection in (outsider, bystander):
        await connection.close()


@pytest.mark.parametrize("by", KEEPING_OUT.values(), ids=KEEPING_OUT)
@pytest.mark.parametrize("size", [3, 250])
async def test_a_refused_user_does_not_keep_others_of_its_page_out(
    size: int, by: str, users: PostgresUserRepository, sql: Sql
) -> None:
    people = [new_id() for _ in range(size)]
    page = [observed(user(one)) for one in people]
    await sql.execute(by.format(user_id=people[1]))
    try:
        outcomes = outcomes_of(await users.sync_many(page))
    finally:
        await sql.execute(NO_LONGER)
    assert outcomes == ["created", None, *["created"] * (size - 2)]
    assert await users.get(people[1]) is None


async def test_a_page_half_of_which_the_store_could_not_take_is_unavailable_and_may_be_repeated(
    store_url: str, sql: Sql
) -> None:
    """And no statement continues after the answer."""
    people = [new_id() for _ in range(250)]
    page = [observed(user(one)) for one in people]
    async with every_session_with(sql, "lock_timeout", "500ms"), new_sessions(store_url) as users:
        await users.sync(observed(user(people[-1])))
        async with row_locked(store_url, people[-1]):
            with pytest.raises(StorageUnavailable, match="55P03"):
                await users.sync_many(page)
        assert [await users.get(one) is not None for one in people] == [
            *[True] * 125,
            *[False] * 124,
            True,
        ]
        outcomes = outcomes_of(await users.sync_many(page))
    assert outcomes == [*["unchanged"] * 125, *["created"] * 124, "unchanged"]


@pytest.mark.parametrize(
    ("setting", "sqlstate"), [("statement_timeout", "57014"), ("lock_timeout", "55P03")]
)
async def test_a_wait_that_the_store_cuts_short_is_unavailable(
    setting: str, sqlstate: str, store_url: str, sql: Sql
) -> None:
    user_id = new_id()
    async with every_session_with(sql, setting, "1500ms"), new_sessions(store_url) as users:
        await users.sync(delivered(user(user_id)))
        async with row_locked(store_url, user_id):
            for change in (user(user_id, updated=1), deleted(user_id)):
                with pytest.raises(StorageUnavailable, match=sqlstate):
                    await users.sync(delivered(change))
        assert (await users.sync(delivered(deleted(user_id)))).outcome == "deleted"


async def test_a_store_without_a_place_for_another_connection_is_unavailable_until_it_has_one(
    store_url: str, sql: Sql
) -> None:
    parts, role = urlsplit(store_url), f"role_{new_id()}"
    host = parts.netloc.rpartition("@")[2]
    limited = parts._replace(netloc=f"{role}:secret@{host}").geturl()
    await sql.execute(f"create role {role} login password 'secret' connection limit 0")
    await sql.execute(f"grant all on users, sync_journal to {role}")
    try:
        async with new_sessions(limited) as users:
            with pytest.raises(StorageUnavailable, match="53300"):
                await users.get(new_id())
            await sql.execute(f"alter role {role} connection limit 1")
            assert await users.get(new_id()) is None
    finally:
        await sql.execute(f"drop owned by {role}; drop role {role}")


async def lock(sql: Sql, user_id: str) -> None:
    await sql.fetch("select from users where clerk_id = $1 for update", user_id)


async def so_many_wait_for_locks(sql: Sql, number: int) -> None:
    async def wait() -> bool:
        return await waiting_for_locks(sql, outsiders=True) == number

    await eventually(wait)
