"""Faults of a store: errors with any SQLSTATE, and settings that refuse writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.postgres_server import Sql

_REFUSE = """
create sequence refusals;
create function refuse() returns trigger language plpgsql as $$
begin
    -- A sequence counts on when the transaction is rolled back.
    if nextval('refusals') <= {times} then
        raise exception 'refused' using errcode = '{sqlstate}';
    end if;
    return new;
end $$;
create trigger refuse before insert or update on {table} for each row execute function refuse();
"""
_NO_LONGER = "drop function if exists refuse cascade; drop sequence if exists refusals"


@asynccontextmanager
async def refusing(
    sql: Sql, sqlstate: str, *, times: int = 1_000_000, table: str = "users"
) -> AsyncIterator[None]:
    """Let the next writes to the table fail with this SQLSTATE."""
    await sql.execute(_REFUSE.format(sqlstate=sqlstate, times=times, table=table))
    try:
        yield
    finally:
        await sql.execute(_NO_LONGER)


async def refusals(sql: Sql) -> int:
    """How many writes were tried."""
    tries: int = await sql.fetchval("select last_value from refusals where is_called")
    return tries


@asynccontextmanager
async def every_session_with(sql: Sql, setting: str, value: str) -> AsyncIterator[None]:
    """Change settings of this database for new sessions; none of ours is open."""
    database = await sql.fetchval("select quote_ident(current_database())")
    await sql.execute(f"alter database {database} set {setting} = '{value}'")
    try:
        yield
    finally:
        await sql.execute(f"alter database {database} reset {setting}")
