"""An outsider who holds on to a user's row."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


@asynccontextmanager
async def row_locked(url: str, user_id: str) -> AsyncIterator[None]:
    """Nobody else may write this user's row meanwhile."""
    outsider: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        async with outsider.transaction():
            locked = await outsider.fetch(
                "select from users where clerk_id = $1 for update", user_id
            )
            assert locked, "there is no such row"
            yield
    finally:
        await outsider.close()


async def waiting_for_locks(sql: "asyncpg.Connection[Any]", *, outsiders: bool = False) -> int:
    """How many of the services' sessions wait for one; those of `outsiders` too if asked for."""
    waiting: int = await sql.fetchval(
        """
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
            and ($1 or application_name = 'clerk-user-sync')
        """,
        outsiders,
    )
    return waiting


async def somebody_waits(sql: "asyncpg.Connection[Any]") -> bool:
    """Whether one of the services' sessions waits for a lock."""
    return await waiting_for_locks(sql) > 0
