"""What the journal keeps, and what it deletes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.users import PostgresUserRepository
from domain.sync_user import UnreadableDelivery
from domain.user import Source, UserId
from tests.people import at, deleted, delivered, new_id, observed, user
from tests.postgres_server import Sql


@pytest.fixture
def users(database: Database) -> PostgresUserRepository:
    return PostgresUserRepository(database)


@pytest.fixture
def journal(database: Database) -> PostgresJournal:
    return PostgresJournal(database)


async def entries(sql: Sql, user_id: UserId) -> list[dict[str, Any]]:
    rows = await sql.fetch("select * from sync_journal where clerk_id = $1 order by id", user_id)
    return [dict(row) for row in rows]


async def test_every_verified_delivery_is_journaled_whatever_it_did(
    users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    for change in (
        user(user_id, updated=2),
        user(user_id, updated=1),
        deleted(user_id),
        user(user_id),
    ):
        await users.sync(delivered(change))
    said = [entry["outcome"] for entry in await entries(sql, user_id)]
    assert said == ["created", "stale", "deleted", "gone"]


async def test_from_elsewhere_only_what_changed_a_user_is_journaled(
    users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    for change in (user(user_id, updated=2), user(user_id, updated=2), user(user_id, updated=1)):
        await users.sync(observed(change, Source.BACKFILL))
    kept = await entries(sql, user_id)
    assert [(entry["source"], entry["outcome"], entry["svix_id"]) for entry in kept] == [
        ("backfill", "created", None)
    ]


async def test_an_entry_says_which_versions_were_compared(
    users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    await users.sync(delivered(user(user_id, updated=12)))
    await users.sync(delivered(user(user_id, updated=0)))
    late = (await entries(sql, user_id))[-1]
    assert (late["clerk_updated_at"], late["stored_updated_at"]) == (at(0), at(12))


async def test_a_redelivery_rebuilds_a_lost_row_and_keeps_one_entry(
    users: PostgresUserRepository, sql: Sql
) -> None:
    user_id = new_id()
    command = delivered(user(user_id))
    await users.sync(command)
    await sql.execute("delete from users")
    again = await users.sync(command)
    assert again.outcome == "created"
    assert [entry["deliveries"] for entry in await entries(sql, user_id)] == [2]


async def test_deletion_erases_every_body_of_that_user_quarantined_ones_too(
    users: PostgresUserRepository, journal: PostgresJournal, sql: Sql
) -> None:
    user_id, neighbour = new_id(), new_id()
    await users.sync(delivered(user(user_id), body=b'{"email":"ada@example.com"}'))
    await users.sync(delivered(user(neighbour), body=b'{"email":"bob@example.com"}'))
    await journal.quarantine(
        UnreadableDelivery(svix_id="msg_q", body=b"ada", reason="bug", clerk_id=user_id)
    )
    await users.sync(delivered(deleted(user_id), body=b"deletion"))
    assert [entry["body"] for entry in await entries(sql, user_id)] == [None, None, None]
    assert (await entries(sql, neighbour))[0]["body"] is not None


async def test_what_arrives_after_the_tombstone_is_journaled_without_a_body(
    users: PostgresUserRepository, journal: PostgresJournal, sql: Sql
) -> None:
    user_id = new_id()
    await users.sync(delivered(deleted(user_id)))
    await users.sync(delivered(user(user_id), body=b"late"))
    await journal.quarantine(
        UnreadableDelivery(svix_id="msg_late", body=b"late", reason="bug", clerk_id=user_id)
    )
    assert [entry["body"] for entry in await entries(sql, user_id)] == [None, None, None]


async def test_a_tombstone_holds_nothing_personal(users: PostgresUserRepository, sql: Sql) -> None:
    user_id = new_id()
    ada = user(user_id, first_name="Canary", phone_number="Canary", public_metadata={"c": "Canary"})
    await users.sync(delivered(ada, body=b"Canary"))
    await users.sync(delivered(deleted(user_id, when=7)))
    row = dict((await sql.fetchrow("select * from users where clerk_id = $1", user_id)) or {})
    kept = {name for name, value in row.items() if value is not None}
    assert kept == {"id", "clerk_id", "deleted_at", "created_at", "last_synced_at", "synced_by"}


async def test_no_body_outlives_a_deletion_it_raced(
    users: PostgresUserRepository, journal: PostgresJournal, sql: Sql
) -> None:
    async def race(user_id: UserId) -> None:
        poison = UnreadableDelivery(
            svix_id=f"msg_{user_id}", body=b"x", reason="bug", clerk_id=user_id
        )
        await asyncio.gather(
            users.sync(delivered(user(user_id, updated=1), body=b"x")),
            users.sync(delivered(user(user_id, updated=2), body=b"x")),
            journal.quarantine(poison),
            users.sync(delivered(deleted(user_id))),
        )

    await asyncio.gather(*(race(new_id()) for _ in range(60)))
    left = await sql.fetchval("select count(*) from sync_journal where body is not null")
    assert left == 0


async def test_svix_alone_moves_the_time_of_the_last_delivery(
    users: PostgresUserRepository, sql: Sql
) -> None:
    webhook = delivered(user(new_id()), svix_id="msg_last")
    received = []
    for command in (webhook, webhook, replace(webhook, source=Source.REPLAY)):
        await users.sync(command)
        received.append(await sql.fetchval("select last_received_at from sync_journal"))
    first, again, replayed = received
    assert first < again == replayed
