"""What a repair deletes: nothing of another instance, and no more than is plausible."""

from typing import Any

import pytest

from domain.drift import DriftKind
from domain.errors import WrongInstance
from domain.reconcile import ROWS_AT_ONCE, TombstoneLimit
from domain.sync_user import SyncResult, SyncUser
from domain.user import DeletedUser, Source, UserId
from scripts.clerk_emulator import ClerkEmulator
from service.services import Operations
from tests.commands.scenes import (
    TableInTheMiddle,
    UsersInTheMiddle,
    backfill_of,
    contents,
    drift,
    ids_of,
    reconcile_of,
    run_backfill,
)
from tests.people import at
from tests.postgres_server import Sql


async def test_a_tombstone_of_a_user_at_clerk_is_reported_and_kept(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(2)
    await run_backfill(available)
    user_id = UserId(ids_of(clerk)[0])
    tombstone = DeletedUser(clerk_id=user_id, deleted_at=at(0))
    await available.store.users.sync(SyncUser(change=tombstone, source=Source.WEBHOOK))
    findings = await reconcile_of(available, repair=True).full()
    assert (findings.found, findings.left) == ({DriftKind.TOMBSTONED: 1}, 1)
    assert await available.store.users.get(user_id) == tombstone


async def test_a_deletion_that_the_store_refuses_is_no_repair(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(2)
    await run_backfill(available)
    clerk.delete_user(ids_of(clerk)[0])
    await sql.execute("alter table users add constraint for_a_test check (deleted_at is null)")
    try:
        findings = await reconcile_of(available, repair=True).full()
    finally:
        await sql.execute("alter table users drop constraint for_a_test")
    assert (findings.found, findings.left) == ({DriftKind.DELETED: 1}, 1)


async def test_a_user_created_after_the_list_was_read_is_not_taken_for_deleted(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(1)
    await run_backfill(available)

    class Creates(TableInTheMiddle):
        created: UserId | None = None

        async def live_ids(self, **page: Any) -> Any:
            if page["limit"] == ROWS_AT_ONCE and self.created is None:
                self.created = UserId(clerk.create_user(email_address=["a@example.com"])["id"])
                user = await available.clerk.bulk.fetch(self.created)
                assert user is not None
                await available.store.users.sync(SyncUser(change=user, source=Source.WEBHOOK))
            return await super().live_ids(**page)

    findings = await reconcile_of(
        available, user_table=Creates(available.store.user_table), repair=True
    ).full()
    assert findings.found == {}


async def test_a_user_deleted_during_a_repair_stays_deleted(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(2)
    user_id = UserId(ids_of(clerk)[0])

    class Deletes(UsersInTheMiddle):
        async def sync_many(self, commands: Any) -> list[SyncResult | None]:
            if user_id in ids_of(clerk):
                clerk.delete_user(user_id)
                gone = DeletedUser(clerk_id=user_id, deleted_at=at(0))
                await self.sync(SyncUser(change=gone, source=Source.WEBHOOK))
            return await super().sync_many(commands)

    repair = reconcile_of(available, users=Deletes(available.store.users), repair=True)
    findings = await repair.full()
    assert findings.outcomes == {"gone": 1, "created": 1}
    assert await drift(clerk, sql) == {}


async def test_a_key_that_knows_none_of_our_users_writes_nothing(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    for user_id in ids_of(clerk):
        clerk.delete_user(user_id)
    clerk.create_users(3)
    before = await contents(sql)
    with pytest.raises(WrongInstance):
        await reconcile_of(available, instance_id=None, repair=True).full()
    with pytest.raises(WrongInstance):
        await backfill_of(available, instance_id=None).run(lambda _outcomes, _left_out: None)
    assert await contents(sql) == before


async def test_an_instance_other_than_the_configured_one_deletes_no_user(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    clerk.delete_user(ids_of(clerk)[0])
    with pytest.raises(WrongInstance):
        await reconcile_of(available, repair=True, instance_id="ins_another").full()
    assert await tombstones(sql) == 0


async def test_the_instance_named_may_have_lost_all_its_users(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    for user_id in ids_of(clerk):
        clerk.delete_user(user_id)
    ours = reconcile_of(available, repair=True, instance_id=clerk.config.instance_id)
    assert (await ours.full()).repaired == {DriftKind.DELETED: 3}
    assert await tombstones(sql) == 3


@pytest.mark.parametrize(("deleted", "held_back"), [(2, 0), (3, 3)])
async def test_the_limit_holds_back_more_deletions_than_are_plausible(
    clerk: ClerkEmulator,
    available: Operations,
    sql: Sql,
    deleted: int,
    held_back: int,
) -> None:
    clerk.create_users(5)
    await run_backfill(available)
    for user_id in ids_of(clerk)[:deleted]:
        clerk.delete_user(user_id)
    findings = await reconcile_of(
        available, repair=True, tombstone_limit=TombstoneLimit(rows=2)
    ).full()
    assert findings.found == {DriftKind.DELETED: deleted}
    assert findings.held_back == held_back
    assert await tombstones(sql) == deleted - held_back


@pytest.mark.parametrize(
    ("limit", "live", "rows"),
    [
        (TombstoneLimit(), 100, 50),
        (TombstoneLimit(), 100_000, 1000),
        (TombstoneLimit(allowed=7), 100_000, 7),
        (TombstoneLimit(allowed=0), 100, 0),
    ],
)
def test_the_limit_defaults_to_fifty_rows_or_one_percent(
    limit: TombstoneLimit, live: int, rows: int
) -> None:
    assert limit.of(live) == rows


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_user_that_became_unreadable_is_not_deleted(
    clerk: ClerkEmulator, available: Operations, sql: Sql, limit: int
) -> None:
    """Nor does it count towards the limit: Clerk has it."""
    clerk.create_users(2)
    await run_backfill(available)
    clerk.edit_user(ids_of(clerk)[0], first_name="\x00")
    run = reconcile_of(available, repair=True, tombstone_limit=TombstoneLimit(allowed=limit))
    findings = await run.full()
    assert (findings.found, findings.held_back, await tombstones(sql)) == ({}, 0, 0)


async def tombstones(sql: Sql) -> int:
    count: int = await sql.fetchval("select count(*) from users where deleted_at is not null")
    return count
