"""Sessions of a database that a test ends, or makes read-only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.postgres_server import Sql


@asynccontextmanager
async def read_only(sql: Sql) -> AsyncIterator[None]:
    """Make every new session on this database read-only; there are no old ones."""
    database = await sql.fetchval("select quote_ident(current_database())")
    await sql.execute(f"alter database {database} set default_transaction_read_only = on")
    try:
        await end_sessions(sql)
        yield
    finally:
        await sql.execute("set default_transaction_read_only = off")
        await sql.execute(f"alter database {database} reset default_transaction_read_only")


async def end_sessions(sql: Sql) -> int:
    """End every session of the services on this database; how many there were."""
    ended: int = await sql.fetchval(
        """
        select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'clerk-user-sync'
        """
    )
    return ended
