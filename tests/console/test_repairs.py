"""Drift checks and repairs from the console: the limit of tombstones, the lock, and what a run leaves on the trail."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.database import Database
from adapters.postgres.exclusive import PostgresExclusive
from domain.drift import load_sweep, save_sweep
from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.jobs import OPERATOR_LOCK
from tests.console.operator_actions import ended, run, trail
from tests.console.visitors import Visitor
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import Service
from tests.service.tables import stored_user


@pytest.fixture
async def spoiled(own_clerk: ClerkEmulator, own_operator: Visitor, sql: Sql) -> list[str]:
    """Three users: of the first the row is spoiled, the second is missing, the third deleted."""
    ids = [own_clerk.create_user(email_address=[f"{n}@example.com"])["id"] for n in range(3)]
    for user_id in ids:
        await own_operator.confirm(f"/users/{user_id}/sync")
    await sql.execute("update users set observed_at = observed_at - interval '1 h'")
    await sql.execute("update users set email = 'spoiled@example.com' where clerk_id = $1", ids[0])
    await sql.execute("delete from users where clerk_id = $1", ids[1])
    own_clerk.delete_user(ids[2])
    await sql.execute("delete from operator_actions")
    return ids


async def test_a_drift_check_finds_and_changes_nothing(
    own_operator: Visitor, sql: Sql, spoiled: list[str]
) -> None:
    before = [dict(row) for row in await sql.fetch("select * from users order by clerk_id")]
    await run(own_operator, sql, "/drift/check")
    assert before == [dict(row) for row in await sql.fetch("select * from users order by clerk_id")]
    page = (await own_operator.get("/drift")).text
    assert all(user_id in page for user_id in spoiled)
    assert await trail(sql) == [("operator token", "drift check", None, "2 compared, 3 differ")]
    assert "3 users differed from Clerk" in (await own_operator.get()).text


async def test_a_row_that_changed_before_it_was_compared_is_not_settled(
    own_operator: Visitor, sql: Sql, spoiled: list[str], own_clerk: ClerkEmulator
) -> None:
    own_clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUserList"))
    assert (await own_operator.confirm("/drift/check")).status_code == 303
    await sql.execute("update users set last_synced_at = clock_timestamp()")
    own_clerk.faults.clear()
    await eventually(lambda: ended(sql))
    assert "changed since" not in (await own_operator.get("/drift")).text
    assert "3 users differed from Clerk" in (await own_operator.get()).text
    await sql.execute(
        "update users set last_synced_at = clock_timestamp() where clerk_id = $1", spoiled[0]
    )
    assert "changed since" in (await own_operator.get("/drift")).text
    assert "2 users differed from Clerk" in (await own_operator.get()).text


async def test_a_later_comparison_that_finds_as_many_is_another_one(
    own_operator: Visitor, database: Database, sql: Sql, spoiled: list[str]
) -> None:
    """Of a command, which lists no users here: nothing is known of what has changed since it."""
    await run(own_operator, sql, "/drift/check")
    await sql.execute("update users set last_synced_at = clock_timestamp()")
    assert "2 users differed from Clerk" in (await own_operator.get()).text
    checkpoints = PostgresCheckpoints(database)
    sweep = await load_sweep(checkpoints)
    assert sweep is not None
    await save_sweep(checkpoints, replace(sweep, ended_at=datetime.now(UTC)))
    assert f"{len(spoiled)} users differed from Clerk" in (await own_operator.get()).text


async def test_only_a_repair_counts_as_the_last_repair(
    own_service: Service, own_operator: Visitor, sql: Sql, spoiled: list[str]
) -> None:
    await run(own_operator, sql, "/drift/check")
    assert await own_service.metric("drift_left_users") == len(spoiled)
    assert await own_service.metric("reconcile_last_success_timestamp_seconds") == 0
    await run(own_operator, sql, "/drift/repair")

    async def repaired() -> bool:
        return await own_service.metric("reconcile_last_success_timestamp_seconds") > 0

    await eventually(repaired)


async def test_a_repair_makes_the_table_right(
    own_operator: Visitor, sql: Sql, spoiled: list[str]
) -> None:
    await run(own_operator, sql, "/drift/check")
    await run(own_operator, sql, "/drift/repair")
    assert (await stored_user(sql, spoiled[0]))["email"] == "0@example.com"
    assert (await stored_user(sql, spoiled[1]))["email"] == "1@example.com"
    assert (await stored_user(sql, spoiled[2]))["deleted_at"] is not None
    assert (await trail(sql))[-1][3] == "3 differed, 0 left"
    await sql.execute(
        "insert into sync_journal (svix_id, source, outcome) values ('m', 'webhook', 'unchanged')"
    )
    assert "In agreement with Clerk" in (await own_operator.get()).text


async def test_a_user_who_cannot_be_read_is_named_and_not_in_agreement(
    own_service: Service, own_operator: Visitor, sql: Sql, own_clerk: ClerkEmulator
) -> None:
    known, other = [
        own_clerk.create_user(email_address=[f"{n}@example.com"])["id"] for n in range(2)
    ]
    await own_operator.confirm(f"/users/{known}/sync")
    own_clerk.edit_user(other, first_name="\x00")
    await run(own_operator, sql, "/drift/check")
    assert (await trail(sql))[-1][3] == "1 compared, no drift, 1 could not be read"
    page = (await own_operator.get("/drift")).text
    assert other in page
    assert "nul_character" in page
    assert "In agreement" not in (await own_operator.get()).text
    assert "will be left" in (await own_operator.get("/drift/repair")).text
    await run(own_operator, sql, "/drift/repair")
    assert await own_service.metric("drift_left_users") == 1


async def test_the_limit_holds_and_is_raised_by_number(
    own_operator: Visitor, sql: Sql, spoiled: list[str]
) -> None:
    await run(own_operator, sql, "/drift/check")
    await run(own_operator, sql, "/drift/repair", allowed="0")
    assert (await stored_user(sql, spoiled[2]))["deleted_at"] is None
    assert (await trail(sql))[-1][3] == "3 differed, 1 left, 1 held back by the limit"
    await run(own_operator, sql, "/drift/repair", allowed="1")
    assert (await stored_user(sql, spoiled[2]))["deleted_at"] is not None


async def test_nothing_is_repaired_unseen(own_operator: Visitor, sql: Sql) -> None:
    assert (await own_operator.get("/drift/repair")).status_code == 409
    assert await trail(sql) == []


@pytest.mark.parametrize("allowed", ["-1", "many", "1e3", "9" * 30])
async def test_the_limit_takes_numbers_only(own_operator: Visitor, sql: Sql, allowed: str) -> None:
    await run(own_operator, sql, "/drift/check")
    answer = await own_operator.confirm("/drift/repair", allowed=allowed)
    assert answer.status_code == 400


async def test_beside_another_run_nothing_begins(
    own_operator: Visitor, store_url: str, sql: Sql
) -> None:
    async with PostgresExclusive(store_url).hold(OPERATOR_LOCK, "reconcile 7@elsewhere"):
        answer = await own_operator.confirm("/drift/check")
    assert (answer.status_code, "reconcile 7@elsewhere is under way" in answer.text) == (409, True)
    assert await trail(sql) == []


async def test_a_run_that_fails_says_so(
    own_operator: Visitor, own_clerk: ClerkEmulator, sql: Sql
) -> None:
    own_clerk.keys.rotate("ins_another")
    await run(own_operator, sql, "/drift/check")
    why = (
        "the Clerk instance is not the one of our rows (CLERK_SECRET_KEY is of ins_another, not of "
    )
    assert (await trail(sql))[0][3].startswith(f"failed: {why}")
    assert f"Failed: {why}" in (await own_operator.get("/drift")).text


@pytest.mark.parametrize("progress", [{"progress_at": "2026-01-01T00:00:00+00:00"}, {}])
async def test_a_run_that_ended_with_its_process_is_told_as_such(
    own_operator: Visitor, sql: Sql, progress: dict[str, str]
) -> None:
    await sql.execute(
        "insert into operator_actions (who, action, detail, started_at)"
        " values ('x', 'drift check', $1, now() - interval '2 min')",
        json.dumps({"compared": 7, "drifts": [], **progress}),
    )
    assert "its process has ended" in (await own_operator.get("/drift")).text


async def test_no_personal_data_is_on_the_trail(
    own_operator: Visitor, sql: Sql, spoiled: list[str]
) -> None:
    await run(own_operator, sql, "/drift/check")
    rows = [dict(row) for row in await sql.fetch("select * from operator_actions")]
    assert UserId(spoiled[0]) in json.dumps(rows, default=str)
    assert "example.com" not in json.dumps(rows, default=str)
