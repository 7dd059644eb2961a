"""What an operator decides against the rules: a row ahead of Clerk, and junk in quarantine."""

import json
from typing import Any

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.exit_code import ExitCode
from tests.audit_trail import no_results_kept
from tests.commands.arrivals import quarantined
from tests.commands.commands import Operator
from tests.postgres_server import Sql
from tests.service.tables import stored_user

AHEAD = """
update users set clerk_updated_at = clerk_updated_at + interval '1 year', last_name = 'wrong'
where clerk_id = $1
"""
TRAIL = "select action, target, result from operator_actions order by id"


async def trail(sql: Sql) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await sql.fetch(TRAIL)]


@pytest.fixture
async def ahead(clerk: ClerkEmulator, sure: Operator, sql: Sql) -> list[str]:
    """Two users whose rows are ahead of Clerk, and one whose row is right."""
    ids = [clerk.create_user(email_address=[f"{n}@example.com"])["id"] for n in range(3)]
    await sure.run("backfill")
    for user_id in ids[:2]:
        await sql.execute(AHEAD, user_id)
    await sql.execute("delete from operator_actions")
    return ids


async def test_a_named_row_ahead_of_clerk_is_overwritten_and_no_other(
    sure: Operator, sql: Sql, ahead: list[str], clerk: ClerkEmulator
) -> None:
    options = ("reconcile", "--full", "--repair")
    left = await sure.run(*options)
    assert (left.code, "--trust-clerk USER" in left.said) == (3, True)
    ended = await sure.run(*options, "--trust-clerk", ahead[0])
    assert (ended.code, f"{ahead[0]}: overridden with Clerk's version" in ended.said) == (3, True)
    assert [(await stored_user(sql, one))["last_name"] for one in ahead[:2]] == [None, "wrong"]
    assert (await sure.run(*options, "--trust-clerk", "1@example.com")).code == 0
    assert (await stored_user(sql, ahead[1]))["last_name"] is None
    # The row follows Clerk again.
    clerk.update_user(ahead[0], last_name="Newer")
    await sure.run("reconcile", "--repair")
    assert (await stored_user(sql, ahead[0]))["last_name"] == "Newer"


async def test_an_override_is_on_the_trail_under_its_user(
    sure: Operator, sql: Sql, ahead: list[str]
) -> None:
    names = ("--trust-clerk", "0@example.com", "--trust-clerk", ahead[2])
    ended = await sure.run("reconcile", "--full", "--repair", *names)
    assert f"{ahead[2]}: nothing overridden" in ended.said
    of_users = [row for row in await trail(sql) if row[0] == "trust clerk"]
    assert sorted(of_users, key=lambda row: ahead.index(row[1])) == [
        ("trust clerk", ahead[0], "overridden with Clerk's version"),
        ("trust clerk", ahead[2], "nothing overridden: the row is not ahead of Clerk"),
    ]
    detail = await sql.fetchval(
        "select detail from operator_actions where target = $1 and action = 'trust clerk'", ahead[0]
    )
    assert json.loads(detail)["version_here"] > json.loads(detail)["version_at_clerk"]
    whole = await sql.fetchval("select detail from operator_actions where action = 'reconcile'")
    assert json.loads(whole)["trust_clerk"] == [ahead[0], ahead[2]]


async def test_an_address_that_nobody_has_is_not_kept_on_the_trail(
    sure: Operator, sql: Sql, ahead: list[str]
) -> None:
    names = ("--trust-clerk", ahead[0], "--trust-clerk", "nobody@example.com")
    assert (await sure.run("reconcile", "--full", "--repair", *names)).code == 65
    assert await trail(sql) == []


async def test_a_run_that_fails_first_says_so_of_each_override(
    sure: Operator, sql: Sql, ahead: list[str], clerk: ClerkEmulator
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, on="GetUserList"))
    ended = await sure.run("reconcile", "--full", "--repair", "--trust-clerk", ahead[0])
    words = "the run ended before its row was overridden"
    assert (ended.code, f"{ahead[0]}: {words}" in ended.said) == (ExitCode.UNAVAILABLE, True)
    assert ("trust clerk", ahead[0], words) in await trail(sql)


async def test_a_trail_that_takes_no_result_hides_no_error(
    sure: Operator, sql: Sql, ahead: list[str], clerk: ClerkEmulator
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, on="GetUserList"))
    async with no_results_kept(sql):
        ended = await sure.run("reconcile", "--full", "--repair", "--trust-clerk", ahead[0])
    assert "Clerk is unavailable" in ended.said


async def test_a_tombstone_is_never_overridden(
    sure: Operator, sql: Sql, ahead: list[str], clerk: ClerkEmulator
) -> None:
    await sql.execute("delete from users where clerk_id = $1", ahead[0])
    await sql.execute(
        "insert into users (clerk_id, deleted_at, synced_by) values ($1, now(), 'webhook')",
        ahead[0],
    )
    ended = await sure.run("reconcile", "--full", "--repair", "--trust-clerk", ahead[0])
    assert (ended.code, "our row is a tombstone" in ended.said) == (3, True)
    assert (await stored_user(sql, ahead[0]))["deleted_at"] is not None


@pytest.mark.parametrize("options", [[], ["--full"], ["--repair"]])
async def test_an_override_is_asked_for_with_a_full_repair_only(
    sure: Operator, sql: Sql, ahead: list[str], options: list[str]
) -> None:
    ended = await sure.run("reconcile", *options, "--trust-clerk", ahead[0])
    assert (ended.code, "needs --full --repair" in ended.said) == (64, True)
    assert (await stored_user(sql, ahead[0]))["last_name"] == "wrong"


async def test_in_a_dry_run_nothing_is_overridden(
    sure: Operator, sql: Sql, ahead: list[str]
) -> None:
    options = ("reconcile", "--full", "--repair", "--dry-run", "--trust-clerk", ahead[0])
    assert (await sure.run(*options)).code == 3
    assert (await stored_user(sql, ahead[0]))["last_name"] == "wrong"
    assert await trail(sql) == []


async def test_junk_is_dismissed_with_a_reason(
    sure: Operator, database: Database, sql: Sql
) -> None:
    for number in range(3):
        await quarantined(database, b"?", svix_id=f"msg_{number}", clerk_id=None)
    ended = await sure.run("dismiss", "msg_1", "--reason", "a test event")
    assert (ended.code, "1 delivery dismissed" in ended.said) == (0, True)
    assert await trail(sql) == [("dismiss", "msg_1", "done")]
    detail = await sql.fetchval("select detail from operator_actions")
    assert json.loads(detail) == {"reason": "a test event", "dismissed": 1}
    dry = await sure.run("dismiss", "--cause", "wrong_type", "--reason", "old", "--dry-run")
    assert (dry.code, "2 deliveries would be dismissed" in dry.said) == (0, True)
    rest = await sure.run("dismiss", "--cause", "wrong_type", "--reason", "old")
    assert (rest.code, "2 deliveries dismissed" in rest.said) == (0, True)
    assert (await sure.run("dismiss", "msg_1", "--reason", "again")).code == 65


@pytest.mark.parametrize(
    "arguments",
    [
        ["msg_1"],
        ["--reason", "x"],
        ["msg_1", "--cause", "y", "--reason", "x"],
        ["msg_1", "--reason", " "],
        ["", "--reason", "x"],
        ["--cause", "", "--reason", "x"],
        ["msg_1", "--cause", "", "--reason", "x"],
    ],
)
async def test_a_dismissal_wants_a_reason_and_one_choice(
    sure: Operator, database: Database, sql: Sql, arguments: list[str]
) -> None:
    await quarantined(database, b"?", svix_id="msg_1")
    assert (await sure.run("dismiss", *arguments)).code == 64
    assert await sql.fetchval("select dismissed_at from sync_journal") is None


async def test_what_is_dismissed_can_be_replayed_where_that_is_asked_for(
    sure: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, b"?", clerk_id=None)
    await sure.run("dismiss", "msg_q", "--reason", "x")
    assert (await sure.run("journal")).code == 0
    assert (await sure.run("journal", "--outcome", "dismissed")).code == 65
