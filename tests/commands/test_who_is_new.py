"""Handlers learn of new users, and not of those who were there before us."""

from collections import Counter
from typing import Any

import pytest

from domain.errors import StorageUnavailable
from domain.sync_user import SyncResult, SyncUser
from domain.user import Source, UserId
from scripts.clerk_emulator import ClerkEmulator
from service.services import Operations
from tests.commands.scenes import UsersInTheMiddle, ids_of, reconcile_of, run_backfill
from tests.postgres_server import Sql


async def sources(sql: Sql) -> list[tuple[str, str]]:
    changes = await sql.fetch("select kind, source from user_changes order by id")
    return [tuple(change) for change in changes]


async def test_a_full_repair_of_an_empty_table_counts_as_a_backfill_and_welcomes_nobody(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    for sources in (["backfill"], ["backfill", "reconcile"]):
        clerk.create_user(email_address=[f"{len(sources)}@example.com"])
        await reconcile_of(available, repair=True).full()
        changes = await sql.fetch("select source from user_changes order by id")
        assert [change["source"] for change in changes] == sources


async def test_until_everybody_was_brought_in_once_a_full_repair_welcomes_nobody(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    """Although the table is not empty: two users came first. What happened to them is news."""
    clerk.create_users(4)
    gone, renamed, *_ = ids_of(clerk)
    for user_id in (gone, renamed):
        user = await available.clerk.bulk.fetch(UserId(user_id))
        assert user is not None
        await available.store.users.sync(SyncUser(change=user, source=Source.JIT))
    clerk.delete_user(gone)
    clerk.update_user(renamed, first_name="Newer")
    await reconcile_of(available).full()
    await reconcile_of(available, repair=True).full()
    assert Counter(await sources(sql)) == {
        ("created", "jit"): 2,
        ("created", "backfill"): 2,
        ("updated", "reconcile"): 1,
        ("deleted", "reconcile"): 1,
    }
    clerk.create_users(1)
    await reconcile_of(available, repair=True).full()
    assert (await sources(sql))[-1] == ("created", "reconcile")


async def test_a_first_full_repair_that_is_interrupted_welcomes_nobody_when_it_runs_again(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(501)

    class Breaks(UsersInTheMiddle):
        pages = 0

        async def sync_many(self, commands: Any) -> list[SyncResult | None]:
            self.pages += 1
            if self.pages > 1:
                raise StorageUnavailable
            return await super().sync_many(commands)

    with pytest.raises(StorageUnavailable):
        await reconcile_of(available, users=Breaks(available.store.users), repair=True).full()
    assert 0 < len(await sources(sql)) < 501
    await reconcile_of(available, repair=True).full()
    assert Counter(await sources(sql)) == {("created", "backfill"): 501}


async def test_after_a_backfill_the_users_that_the_first_poll_finds_are_new(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(1)
    await run_backfill(available)
    clerk.create_users(1)
    await reconcile_of(available, repair=True, insist=False).recent()
    assert await sources(sql) == [("created", "backfill"), ("created", "reconcile")]
