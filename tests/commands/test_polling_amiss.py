"""Polls of an instance without users, and beside a clock that was set back."""

from typing import Any

from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.database import Database
from domain.reconcile import LAST_FULL, LAST_RECENT
from scripts.clerk_emulator import ClerkEmulator
from service.services import Operations
from tests.commands.commands import Operator
from tests.commands.scenes import drift, reconcile_of
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import running_service


async def test_a_poll_that_finds_nobody_is_the_first_one_too(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    """So the first users are welcomed."""
    polling = reconcile_of(available, repair=True, insist=False)
    await polling.recent()
    clerk.create_user(email_address=["ada@example.com"])
    await polling.recent()
    changes = await sql.fetch("select kind, source from user_changes")
    assert [tuple(row) for row in changes] == [("created", "reconcile")]


async def test_a_clock_that_was_set_back_holds_no_comparison_up_and_hides_none_that_lacks(
    clerk: ClerkEmulator, operator: Operator, database: Database, store_url: str, sql: Sql
) -> None:
    for name in (LAST_RECENT, LAST_FULL):
        await PostgresCheckpoints(database).save(name, "")
    await sql.execute("update sync_checkpoints set saved_at = now() + interval '3 days'")
    regularly: dict[str, Any] = {"POLL_EVERY": "1", "RECONCILE_EVERY": "1"}
    records = (await operator.run("doctor", "--json", **regularly)).records
    found = {one["about"]: (one["state"], one["words"]) for one in records}
    assert found["polling"] == ("bad", "the last poll of Clerk is 3 d ahead of the store's clock")
    words = "the last full comparison is 3 d ahead of the store's clock"
    assert found["reconcile"] == ("bad", words)
    clerk.create_user(email_address=["ada@example.com"])
    async with running_service(clerk, store_url, poll_every=1, reconcile_every=1) as service:

        async def is_in_order() -> bool:
            faults = {"polling", "reconcile"}
            return await drift(clerk, sql) == {} and faults.isdisjoint(await service.degraded())

        await eventually(is_in_order)
