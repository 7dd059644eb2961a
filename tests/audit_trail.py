"""An audit trail that takes an action's beginning, and not its result."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.postgres_server import Sql

_REFUSE = """
create function refuse_result() returns trigger language plpgsql as
    $$ begin raise exception 'full' using errcode = 'disk_full'; end $$;
create trigger refuse_result before update on operator_actions
    for each row execute function refuse_result();
"""


@asynccontextmanager
async def no_results_kept(sql: Sql) -> AsyncIterator[None]:
    await sql.execute(_REFUSE)
    try:
        yield
    finally:
        await sql.execute("drop function refuse_result() cascade")
