"""Both sides are compared, and repaired only on request and if it is safe."""

from collections import Counter
from typing import Any

import pytest

from domain.compact_ids import CompactIds
from domain.drift import Drift, DriftKind
from domain.reconcile import WATERMARK
from domain.sync_user import SyncResult, SyncUser
from domain.user import Source, UserId
from scripts.clerk_emulator import ClerkEmulator
from service.services import Operations
from tests.commands.scenes import (
    TableInTheMiddle,
    UsersInTheMiddle,
    contents,
    drift,
    ids_of,
    reconcile_of,
    run_backfill,
    spoil,
    versions,
)
from tests.postgres_server import Sql


async def test_one_backfill_and_one_full_repair_end_in_zero_drift(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(800)
    await run_backfill(available)
    await spoil(clerk, sql, 400)
    await run_backfill(available)
    findings = await reconcile_of(available, repair=True).full()
    assert findings.left == 0
    assert await drift(clerk, sql) == {}


async def test_one_full_repair_alone_ends_in_zero_drift(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(200)
    await run_backfill(available)
    await spoil(clerk, sql, 200)
    findings = await reconcile_of(available, repair=True).full()
    assert findings.found == {
        DriftKind.MISSING: 100,
        DriftKind.DIFFERING: 40,
        DriftKind.DELETED: 20,
    }
    assert findings.repaired == findings.found
    assert await drift(clerk, sql) == {}


async def test_a_second_repair_finds_and_changes_nothing(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(200)
    await spoil(clerk, sql, 200)
    await reconcile_of(available, repair=True).full()
    before = await versions(sql)
    assert (await reconcile_of(available, repair=True).full()).found == {}
    assert await versions(sql) == before


async def test_without_repair_it_reports_and_writes_nothing(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(200)
    await run_backfill(available)
    await spoil(clerk, sql, 200)
    before = await contents(sql)
    findings = await reconcile_of(available).full()
    assert (findings.found.total(), findings.repaired.total()) == (160, 0)
    assert await contents(sql) == before


async def test_drift_is_reported_with_the_names_of_the_fields(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    differs, gone, missing = ids_of(clerk)
    await sql.execute("update users set email = 'x', banned = true where clerk_id = $1", differs)
    await sql.execute("delete from users where clerk_id = $1", missing)
    clerk.delete_user(gone)
    drifts: list[Drift] = []
    await reconcile_of(available, on_drift=drifts.append).full()
    assert {(one.kind, one.clerk_id, one.fields) for one in drifts} == {
        (DriftKind.DIFFERING, differs, ("email", "banned")),
        (DriftKind.MISSING, missing, ()),
        (DriftKind.DELETED, gone, ()),
    }


async def test_a_row_ahead_of_clerk_is_reported_and_left(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(1)
    await run_backfill(available)
    await sql.execute("update users set clerk_updated_at = clerk_updated_at + interval '1 day'")
    findings = await reconcile_of(available, repair=True).full()
    assert (findings.found, findings.left) == ({DriftKind.AHEAD: 1}, 1)


@pytest.mark.parametrize("seen", ["0 s", "1 hour"])
async def test_a_row_corrupted_in_the_second_it_was_seen_in_or_seen_too_late_is_repaired(
    clerk: ClerkEmulator, available: Operations, sql: Sql, seen: str
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    await sql.execute(
        "update users set last_name = 'corrupted', observed_at = observed_at + $1::text::interval",
        seen,
    )
    findings = await reconcile_of(available, repair=True).full()
    assert (findings.found, findings.left) == ({DriftKind.DIFFERING: 3}, 0)
    assert await drift(clerk, sql) == {}


async def test_a_later_observation_during_a_repair_is_kept(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(1)
    await run_backfill(available)
    user_id = UserId(ids_of(clerk)[0])
    await sql.execute("update users set last_name = 'corrupted', observed_at = now() + '1 hour'")

    class Updates(UsersInTheMiddle):
        async def sync_many(self, commands: Any) -> list[SyncResult | None]:
            clerk.update_user(user_id, first_name="Newer")
            newer = await available.clerk.bulk.fetch(user_id)
            assert newer is not None
            await self.sync(SyncUser(change=newer, source=Source.WEBHOOK))
            return await super().sync_many(commands)

    await reconcile_of(available, users=Updates(available.store.users), repair=True).full()
    assert await drift(clerk, sql) == {}


async def test_a_row_updated_after_its_page_was_read_is_not_drift(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(1)
    await run_backfill(available)
    user_id = UserId(ids_of(clerk)[0])

    class Updates(TableInTheMiddle):
        async def get_many(self, user_ids: Any) -> Any:
            clerk.update_user(user_id, first_name="Newer")
            newer = await available.clerk.bulk.fetch(user_id)
            assert newer is not None
            await available.store.users.sync(SyncUser(change=newer, source=Source.WEBHOOK))
            return await super().get_many(user_ids)

    findings = await reconcile_of(available, user_table=Updates(available.store.user_table)).full()
    assert findings.found == {}


async def test_the_incremental_run_asks_only_for_what_was_updated_since(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(1203)
    await reconcile_of(available, repair=True).recent()
    updated = clerk.update_user(ids_of(clerk)[0], first_name="Newer")["id"]
    clerk.calls.clear()
    drifts: list[Drift] = []
    findings = await reconcile_of(available, repair=True, on_drift=drifts.append).recent()
    assert [one.clerk_id for one in drifts] == [updated]
    # The emulator's users are a second apart, and the run begins a minute before the last one.
    assert findings.compared in (60, 61, 62)
    assert clerk.calls.count("GetUserList") == 2
    assert await drift(clerk, sql) == {}


async def test_drift_that_was_only_reported_is_found_again(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(3)
    await reconcile_of(available).recent()
    assert await available.store.checkpoints.load(WATERMARK) is None
    assert (await reconcile_of(available).recent()).found == {DriftKind.MISSING: 3}


async def test_an_incremental_run_comes_back_to_a_user_it_could_not_read(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(3)
    unreadable = ids_of(clerk)[0]
    clerk.edit_user(unreadable, first_name="\x00")
    findings = await reconcile_of(available, repair=True).recent()
    assert [(one.clerk_id, one.reason) for one in findings.left_out] == [
        (unreadable, "nul_character")
    ]
    assert await available.store.checkpoints.load(WATERMARK) is None
    clerk.edit_user(unreadable, first_name="Ada")
    await reconcile_of(available, repair=True).recent()
    assert await available.store.checkpoints.load(WATERMARK) is not None


async def test_a_run_that_is_to_remember_nothing_leaves_nothing(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    await reconcile_of(available, remember=False).recent()
    assert await available.store.checkpoints.load(WATERMARK) is None


async def test_repairs_are_journaled_as_reconcile(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(2)
    await run_backfill(available)
    clerk.create_users(1)
    clerk.delete_user(ids_of(clerk)[0])
    await reconcile_of(available, repair=True).full()
    entries = await sql.fetch("select source, outcome from sync_journal")
    assert Counter(map(tuple, entries)) == {
        ("backfill", "created"): 2,
        ("reconcile", "created"): 1,
        ("reconcile", "deleted"): 1,
    }


def test_compact_ids_know_what_was_put_in() -> None:
    ids = CompactIds()
    for number in range(0, 1000, 2):
        ids.add(f"user_{number}")
    assert [f"user_{number}" in ids for number in range(1000)] == [True, False] * 500
