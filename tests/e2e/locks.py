"""Row locks that another session holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.postgres_server import Sql


@asynccontextmanager
async def row_locked(url: str, user_id: str) -> AsyncIterator[None]:
    """Lock this user's row during the block."""
    outsider: Sql = await asyncpg.connect(url)
    try:
        async with outsider.transaction():
            locked = await outsider.fetch(
                "select from users where clerk_id = $1 for update", user_id
            )
            assert locked, "there is no such row"
            yield
    finally:
        await outsider.close()


async def waiting_for_locks(sql: Sql, *, outsiders: bool = False) -> int:
    """How many sessions of the services wait for a lock; with `outsiders`, of any client."""
    waiting: int = await sql.fetchval(
        """
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
            and ($1 or application_name = 'clerk-user-sync')
        """,
        outsiders,
    )
    return waiting


async def somebody_waits(sql: Sql) -> bool:
    """Whether a session of the services waits for a lock."""
    return await waiting_for_locks(sql) > 0
