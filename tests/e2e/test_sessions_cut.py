"""Postgres stays up, and takes away the service's sessions or its right to write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users, sign_up
from tests.e2e.processes import ServiceProcess, eventually
from tests.e2e.truth import assert_redelivery_settles_all, unrecorded

ROUNDS = 5
BACK_WITHIN = 2.0


async def test_sessions_ended_under_load_cost_hardly_an_answer_and_no_acknowledged_delivery(
    clerk: ClerkEmulator, service: ServiceProcess, sql: "asyncpg.Connection[Any]"
) -> None:
    ended = 0
    async with Load(service, lives_of_users(clerk)) as load:
        for _ in range(ROUNDS):
            await load.acknowledged(50)
            ended += await end_sessions(sql)
        await load.acknowledged(50)

    assert {one.status for one in load.attempts} <= {204, 503}
    assert len(load.told(Fate.REFUSED)) < ended / 5
    assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
    await assert_redelivery_settles_all(load, clerk, sql)


async def test_a_read_only_store_still_serves_known_users_and_is_written_to_once_it_may_be(
    clerk: ClerkEmulator, service: ServiceProcess, sql: "asyncpg.Connection[Any]"
) -> None:
    """As after a failover: the sessions outlive the primary's right to write."""
    known, late = sign_up(clerk), sign_up(clerk)
    assert (await service.deliver(known)).status_code == 204
    token = clerk.session_token(known.user_id)
    async with read_only(sql):
        refused = await service.deliver(late)
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert (await service.me(token)).status_code == 200

    async def lands() -> bool:
        return (await service.deliver(late)).status_code == 204

    await eventually(lands, BACK_WITHIN)


@asynccontextmanager
async def read_only(sql: "asyncpg.Connection[Any]") -> AsyncIterator[None]:
    """Every new session on this database, and there are no old ones."""
    database = await sql.fetchval("select quote_ident(current_database())")
    await sql.execute(f"alter database {database} set default_transaction_read_only = on")
    try:
        await end_sessions(sql)
        yield
    finally:
        await sql.execute("set default_transaction_read_only = off")
        await sql.execute(f"alter database {database} reset default_transaction_read_only")


async def end_sessions(sql: "asyncpg.Connection[Any]") -> int:
    """End every session of the services on this database; how many there were."""
    ended: int = await sql.fetchval(
        """
        select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'clerk-user-sync'
        """
    )
    return ended
