"""What ours is compared with does the same work."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from bench import pages

Sql: TypeAlias = "asyncpg.Connection[Any]"
WRITTEN = {
    "users": ", ".join((*pages.COLUMNS, "synced_by", "deleted_at")),
    "sync_journal": "clerk_id, source, outcome, clerk_updated_at, svix_id, body",
    "user_changes": "clerk_id, kind, changed, source, occurred_at",
}


async def taken_away(sql: Sql, people: Sequence[str]) -> dict[str, list[tuple[object, ...]]]:
    """What is written about these users, which is deleted then."""
    found = {}
    for table, names in WRITTEN.items():
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
