"""What ours is compared with does the same work."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
import orjson

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from bench import pages
from bench.peers import plain
from domain.user import KEPT_FIELDS, OBSERVATION_FIELDS
from tests.adapters.clerk.payloads import ADA, EMAIL_ID, address, command, with_data

Sql: TypeAlias = "asyncpg.Connection[Any]"
WRITTEN = {
    "users": ", ".join((*pages.COLUMNS, "synced_by", "deleted_at")),
    "sync_journal": "clerk_id, source, outcome, clerk_updated_at, svix_id, body",
    "user_changes": "clerk_id, kind, changed, source, occurred_at",
}
WITHOUT_DIGEST_AND_BODY = {
    "users": ", ".join((*OBSERVATION_FIELDS, *KEPT_FIELDS, "synced_by", "deleted_at")),
    "sync_journal": "clerk_id, source, outcome, clerk_updated_at, svix_id, event_type",
    "user_changes": WRITTEN["user_changes"],
}


async def taken_away(
    sql: Sql, people: Sequence[str], written: Mapping[str, str] = WRITTEN
) -> dict[str, list[tuple[object, ...]]]:
    """What is written about these users, which is deleted then."""
    found = {}
    for table, names in written.items():
        where = "where clerk_id = any ($1)"
        rows = await sql.fetch(f"select {names} from {table} {where} order by 1, 2, 3", people)
        found[table] = [tuple(row) for row in rows]
        await sql.execute(f"delete from {table} {where}", people)
    return found


async def test_copy_and_merge_write_the_rows_the_journal_and_the_changes_that_ours_writes(
    database: Database, sql: Sql
) -> None:
    users = PostgresUserRepository(database)
    new = pages._new_page()[:20]
    people = [user.clerk_id for user in new]
    changed = pages._changed(new[:10])
    for page in (new, changed, changed):
        await users.sync_many(pages._commands(page))
    ours = await taken_away(sql, people)
    await sql.execute(pages.STAGE)
    for page in (new, changed, changed):
        await pages._copy(sql, page, pages.TRACES, pages.MERGE)
    theirs = await taken_away(sql, people)
    assert [len(rows) for rows in theirs.values()] == [20, 30, 30]
    assert theirs == ours


async def test_the_plain_server_writes_all_that_ours_writes_of_a_delivery(
    database: Database, sql: Sql
) -> None:
    data: dict[str, Any] = {
        "username": "ada",
        "external_id": "7",
        "public_metadata": {"plan": "pro"},
        "email_addresses": [address(), address("l@example.com", id="idn_2", verification=None)],
        "primary_email_address_id": EMAIL_ID,
        "phone_numbers": [{"id": "idn_3", "phone_number": "+15555550100"}],
        "primary_phone_number_id": "idn_3",
        "two_factor_enabled": True,
        "locked": True,
        "legal_accepted_at": 1760000000001,
        "last_sign_in_at": 1760000000002,
    }
    event = with_data(**data)
    await PostgresUserRepository(database).sync(command(event))
    ours = await taken_away(sql, [ADA], WITHOUT_DIGEST_AND_BODY)
    await plain.write(sql, plain.row(event, "msg_1", orjson.dumps(event)))
    theirs = await taken_away(sql, [ADA], WITHOUT_DIGEST_AND_BODY)
    assert [len(rows) for rows in theirs.values()] == [1, 1, 1]
    assert theirs == ours
