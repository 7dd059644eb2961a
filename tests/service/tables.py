"""What is in the tables, without our own code."""

import asyncio
import json
from typing import Any

from tests.postgres_server import Sql


async def stored_user(sql: Sql, clerk_id: str) -> dict[str, Any]:
    record = await sql.fetchrow("select * from users where clerk_id = $1", clerk_id)
    assert record is not None
    user = dict(record)
    user["public_metadata"] = json.loads(user["public_metadata"] or "null")
    return user


async def journal(sql: Sql) -> list[dict[str, Any]]:
    """Every entry, oldest first."""
    return [dict(entry) for entry in await sql.fetch("select * from sync_journal order by id")]


async def count_rows(sql: Sql) -> tuple[int, int]:
    """Of users and of journal entries."""
    users = await sql.fetchval("select count(*) from users")
    entries = await sql.fetchval("select count(*) from sync_journal")
    return users, entries


async def everything_stored(sql: Sql) -> str:
    """Every column of every table as text; bytes as the text they are."""
    names = await sql.fetch("select tablename from pg_tables where schemaname = 'public'")
    rows = [
        str(dict(row)) for (name,) in names for row in await sql.fetch(f'select * from "{name}"')
    ]
    assert rows
    return "\n".join(rows)


async def every_change_is_settled(sql: Sql) -> None:
    """Every subscription has come to the newest change."""
    query = """
        select not exists (select from user_changes where position is null) and not exists (
            select from user_change_subscriptions
            where position < (select max(position) from user_changes))
    """
    async with asyncio.timeout(60):
        while not await sql.fetchval(query):
            await asyncio.sleep(0.02)
