"""Bodies are deleted first and entries later, and one user's bodies at once on request."""

import io
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from structlog.typing import FilteringBoundLogger

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.exclusive import PostgresExclusive
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.users import PostgresUserRepository
from domain.ports import Exclusive
from domain.retention import BATCH, Expired, Retain, RetentionPeriods
from service.jobs import RETENTION_LOCK, retain_by_the_hour
from service.log import line_logger
from tests.adapters.clerk.payloads import ADA
from tests.commands.arrivals import entries, happened, quarantined
from tests.commands.commands import Operator
from tests.people import new_id, observed, user
from tests.postgres_server import Sql

PERIODS = RetentionPeriods(bodies=timedelta(days=30), entries=timedelta(days=90))


async def aged(sql: Sql, *days: float) -> None:
    """One delivery of every age."""
    await sql.executemany(
        "insert into sync_journal (svix_id, clerk_id, source, outcome, body, received_at) "
        "values ($1, $2, 'webhook', 'updated', 'x', now() - $3::interval)",
        [(f"msg_{age}_{n}", ADA, timedelta(days=age)) for n, age in enumerate(days)],
    )


async def kept(sql: Sql) -> list[tuple[str, bool]]:
    """The ages that are left, and whether they have their body."""
    return [(one["svix_id"].split("_")[1], one["body"] is not None) for one in await entries(sql)]


def retain(database: Database) -> Retain:
    return Retain(PostgresRetention(database), PostgresChangeLog(database), PERIODS)


async def test_bodies_go_after_their_days_and_entries_after_theirs(
    database: Database, sql: Sql
) -> None:
    await aged(sql, 91, 89, 31, 29, 0)
    assert await retain(database)() == Expired(bodies=2, entries=1)
    assert await kept(sql) == [("89", False), ("31", False), ("29", True), ("0", True)]


async def test_quarantined_bodies_go_as_well(database: Database, sql: Sql) -> None:
    await quarantined(database, b"x")
    await sql.execute("update sync_journal set received_at = now() - interval '31 days'")
    await retain(database)()
    assert [one["body"] for one in await entries(sql)] == [None]


async def test_a_second_run_finds_nothing_to_do(database: Database, sql: Sql) -> None:
    await aged(sql, 91, 31)
    await retain(database)()
    assert await retain(database)() == Expired(bodies=0, entries=0)


async def test_more_than_a_batch_goes_batch_by_batch(database: Database, sql: Sql) -> None:
    await aged(sql, *[91.0] * (BATCH + 1), *[31.0] * (2 * BATCH + 1))
    found = await retain(database)()
    assert found == Expired(bodies=2 * BATCH + 1, entries=BATCH + 1)


async def test_a_batch_has_at_most_the_given_size(database: Database, sql: Sql) -> None:
    await aged(sql, *[91.0] * 5)
    journal = PostgresRetention(database)
    assert await journal.expire_bodies(timedelta(0), 3) == 3
    assert await journal.expire_entries(timedelta(0), 3) == 3


async def test_a_row_that_is_locked_is_left_for_the_next_time(
    database: Database, sql: Sql, store_url: str
) -> None:
    await aged(sql, 31)
    redelivery = await asyncpg.connect(store_url)
    async with redelivery.transaction():
        await redelivery.execute("select from sync_journal for update")
        assert await retain(database)() == Expired(bodies=0, entries=0)
    await redelivery.close()
    assert (await retain(database)()).bodies == 1


async def test_the_command_does_it(operator: Operator, sql: Sql) -> None:
    await aged(sql, 91, 31, 1)
    told = await operator.run("retain", "--json")
    assert (told.code, told.records[-1]["bodies_erased"], told.records[-1]["entries_removed"]) == (
        0,
        1,
        1,
    )
    assert await kept(sql) == [("31", False), ("1", True)]


async def test_a_dry_run_counts_and_keeps(operator: Operator, sql: Sql) -> None:
    await aged(sql, 91, 31, 1)
    (told,) = (await operator.run("retain", "--dry-run", "--json")).records
    assert (told["bodies_erased"], told["entries_removed"]) == (2, 1)
    assert len(await entries(sql)) == 3


async def test_the_days_are_settings(operator: Operator, sql: Sql) -> None:
    await aged(sql, 40, 3)
    await operator.run("retain", JOURNAL_BODY_DAYS="2", JOURNAL_DAYS="35")
    assert await kept(sql) == [("3", False)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"JOURNAL_DAYS": "34"}, "JOURNAL_DAYS: Input should be greater than or equal to 35"),
        ({"JOURNAL_BODY_DAYS": "100"}, "JOURNAL_DAYS: must not be less than JOURNAL_BODY_DAYS"),
        ({"JOURNAL_BODY_DAYS": "0"}, "JOURNAL_BODY_DAYS: Input should be greater than or equal"),
    ],
)
async def test_days_that_make_no_sense_are_refused(
    operator: Operator, settings: dict[str, str], words: str
) -> None:
    ended = await operator.told(settings).run("retain")
    assert (ended.code, words in ended.said) == (78, True)


async def test_one_users_bodies_are_erased_at_once_and_again_if_asked(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await quarantined(database, b"raw", svix_id="msg_2")
    await quarantined(database, b"raw", svix_id="msg_3", clerk_id="user_neighbour")
    (rehearsed,) = (await operator.run("erase", ADA, "--dry-run", "--json")).records
    assert rehearsed["bodies_erased"] == 2
    for erased in (2, 0):
        (told,) = (await operator.run("erase", ADA, "--json")).records
        assert told["bodies_erased"] == erased
    assert [one["body"] is None for one in await entries(sql)] == [True, True, False]


async def test_an_erasure_leaves_no_address_on_the_audit_trail(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created")
    assert (await operator.run("erase", "ada@example.com")).code == 0
    assert (await operator.run("erase", "nobody@example.com")).code == 65
    twin = user(new_id(), email="twin@example.com", external_id="twin")
    for one in (twin, replace(twin, clerk_id=new_id())):
        await PostgresUserRepository(database).sync(observed(one))
    assert (await operator.run("erase", "twin")).code == 64
    trail = await sql.fetch("select * from operator_actions")
    assert [(one["target"], "@" in str(one)) for one in trail] == [(ADA, False)]


async def test_an_erasure_needs_a_user(operator: Operator) -> None:
    ended = await operator.run("erase", "everybody")
    assert (ended.code, "No user here has 'everybody'" in ended.said) == (65, True)


async def test_what_was_erased_is_said_to_have_no_body(
    operator: Operator, database: Database
) -> None:
    await happened(database, "user.created")
    await operator.run("erase", ADA)
    assert await operator.outcomes("journal") == {"no body": 1}


TIMES = 3


class Enough(Exception):
    """Ends a replica that would run forever."""


class Counting(Retain):
    """Counts its runs, and ends the loop after a few."""

    def __init__(self, database: Database) -> None:
        super().__init__(PostgresRetention(database), PostgresChangeLog(database), PERIODS)
        self.runs = 0

    async def __call__(self) -> Expired:
        if self.runs == TIMES:
            raise Enough
        self.runs += 1
        return await super().__call__()


class Trying(PostgresExclusive):
    """Ends the loop after a number of attempts to take the lock."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.times = 0

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        if self.times == TIMES:
            raise Enough
        self.times += 1
        return super().hold(name, holder)


async def lived_through(retain: Retain, exclusive: Exclusive, log: FilteringBoundLogger) -> None:
    """Run until one of them ends the loop."""
    with pytest.raises(Enough):
        await retain_by_the_hour(retain, exclusive, log, first=0, every=0.1)


async def test_the_service_forgets_by_itself_and_logs_how_much(
    database: Database, sql: Sql, store_url: str
) -> None:
    """Later runs have nothing to do."""
    await aged(sql, 91, 31)
    lines, counting = io.StringIO(), Counting(database)
    log = line_logger("info", "json", lines)
    await lived_through(counting, PostgresExclusive(store_url), log)
    assert await kept(sql) == [("31", False)]
    assert lines.getvalue().count("expired_rows_deleted") == 1
    assert '"bodies":1,"entries":1' in lines.getvalue()


async def test_while_another_replica_is_at_it_this_one_waits(
    database: Database, store_url: str
) -> None:
    counting, exclusive = Counting(database), Trying(store_url)
    log = line_logger("error", "json", io.StringIO())
    async with PostgresExclusive(store_url).hold(RETENTION_LOCK, "another replica"):
        await lived_through(counting, exclusive, log)
    assert (exclusive.times, counting.runs) == (TIMES, 0)
