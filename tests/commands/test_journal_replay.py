"""`journal`: verified deliveries are applied again, or posted to the endpoint of another service."""

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, envelope, webhook_bytes
from tests.commands.arrivals import entries, happened, quarantined
from tests.commands.commands import Operator
from tests.commands.elsewhere import listening_service
from tests.postgres_server import Sql


async def test_a_quarantined_delivery_leaves_quarantine_as_what_it_did(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"), clerk_id=None)
    assert await operator.outcomes("journal", "--status", "quarantined") == {"created": 1}
    (entry,) = await entries(sql)
    assert (entry["outcome"], entry["error"], entry["clerk_id"]) == ("created", None, ADA)
    assert entry["event_type"] == "user.created"


async def test_a_replay_does_not_count_as_a_redelivery(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"))
    (before,) = await entries(sql)
    await operator.run("journal")
    (after,) = await entries(sql)
    kept = ("deliveries", "received_at", "last_received_at", "source")
    assert [after[name] for name in kept] == [before[name] for name in kept]


async def test_what_leaves_quarantine_is_kept_without_what_must_not_be_stored(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"))
    await operator.run("journal")
    (entry,) = await entries(sql)
    assert b"event_attributes" not in entry["body"]


async def test_the_body_of_what_left_quarantine_goes_with_the_user(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"), clerk_id=None)
    await operator.run("journal")
    await happened(database, "user.deleted", svix_id="msg_end")
    assert [entry["body"] for entry in await entries(sql)] == [None, None]


async def test_what_is_still_unreadable_stays_and_is_reported(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, b'{"type": "user.created"}', svix_id="msg_bad")
    ended = await operator.run("journal")
    assert ended.code == 65
    assert "msg_bad: quarantined: no_data" in ended.said
    assert [entry["outcome"] for entry in await entries(sql)] == ["quarantined"]


async def test_a_lost_table_is_rebuilt_and_the_journal_says_by_what(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.updated", svix_id="msg_2")
    await sql.execute("delete from users")
    assert await operator.outcomes("journal") == {"created": 1, "updated": 1}
    assert await sql.fetchval("select first_name from users") == "Augusta Ada"
    told = [(one["source"], one["outcome"], one["svix_id"]) for one in await entries(sql)]
    assert told == [
        ("webhook", "created", "msg_1"),
        ("webhook", "updated", "msg_2"),
        ("replay", "created", None),
        ("replay", "updated", None),
    ]


async def test_a_store_whose_clock_is_behind_clerks_takes_its_own_journal_back(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.updated")
    await sql.execute("update sync_journal set received_at = occurred_at - interval '6 minutes'")
    exported = await operator.run("export")
    await sql.execute("delete from users")
    assert await operator.outcomes("journal") == {"created": 1}
    await sql.execute("delete from users; delete from sync_journal")
    assert await operator.outcomes("file", "-", stdin=exported.out.encode()) == {"created": 1}


async def test_a_second_replay_changes_nothing(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.updated", svix_id="msg_2")
    before = await entries(sql)
    assert await operator.outcomes("journal") == {"stale": 1, "unchanged": 1}
    assert await entries(sql) == before


async def test_a_deletion_needs_no_body(operator: Operator, database: Database, sql: Sql) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.deleted", svix_id="msg_2")
    await sql.execute("delete from users")
    assert await operator.outcomes("journal") == {"no body": 1, "deleted": 1}
    assert await sql.fetchval("select deleted_at is not null from users")


async def test_no_deleted_user_comes_back(operator: Operator, database: Database, sql: Sql) -> None:
    await happened(database, "user.deleted", svix_id="msg_1")
    await quarantined(database, webhook_bytes("user.created"), clerk_id=None)
    assert await operator.outcomes("journal", "--status", "quarantined") == {"gone": 1}
    assert [entry["body"] for entry in await entries(sql)] == [None, None]


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"), svix_id="msg_1")
    await quarantined(database, webhook_bytes("user.updated"), svix_id="msg_2")
    before = await entries(sql)
    assert await operator.outcomes("journal", "--dry-run") == {"created": 1, "updated": 1}
    assert await entries(sql) == before
    assert await sql.fetchval("select count(*) from users") == 0


FILTERS = {
    ("--status", "quarantined"): {"msg_q"},
    ("--status", "stale", "--status", "created"): {"msg_1"},
    ("--type", "user.updated"): {"msg_2", "msg_q"},
    ("--user", ADA): {"msg_1", "msg_2", "msg_q"},
    ("--user", "user_2"): set(),
    ("--svix-id", "msg_2"): {"msg_2"},
    ("--since", "1h"): {"msg_2", "msg_q"},
    ("--until", "1h"): {"msg_1"},
    ("--since", "3d", "--until", "1h"): {"msg_1"},
    ("--limit", "2"): {"msg_1", "msg_2"},
    (): {"msg_1", "msg_2", "msg_q"},
}


@pytest.mark.parametrize("options", FILTERS, ids=" ".join)
async def test_filters_choose_the_deliveries(
    operator: Operator, database: Database, sql: Sql, options: tuple[str, ...]
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await sql.execute("update sync_journal set received_at = received_at - interval '1 day'")
    await happened(database, "user.updated", svix_id="msg_2")
    await quarantined(database, webhook_bytes("user.updated"), svix_id="msg_q")
    ended = await operator.run("journal", "--dry-run", "--json", *options)
    assert {one["svix_id"] for one in ended.records if "svix_id" in one} == FILTERS[options]


async def test_more_than_a_page_is_read_page_by_page(
    operator: Operator, database: Database, sql: Sql
) -> None:
    body = webhook_bytes("user.created")
    for number in range(120):
        await quarantined(database, body, svix_id=f"msg_{number}")
    assert await operator.outcomes("journal") == {"created": 1, "unchanged": 119}


LATER = "2099-01-01T00:00Z"
WRONG = {
    ("--since", "garbage"): "'garbage' is not a time: write 2026-01-31T12:00Z",
    ("--since", "2026-01-01T00:00"): "2026-01-01T00:00 has no time zone: add Z",
    ("--since", LATER): "is in the future",
    ("--until", "5x"): "'5x' is not a time",
    ("--since", "999999d"): "999999d is before 1970",
    ("--since", "0001-01-01T00:00Z"): "0001-01-01T00:00Z is before 1970",
    ("--since", "1h", "--until", "2h"): "--since must be before --until",
    ("--limit", "0"): "should be greater than or equal to 1",
    ("--status", "fine"): "'fine' is not one of created, deleted, dismissed, gone, quarantined",
    ("--svix-id", ""): "'' is not the svix id of a delivery",
    ("--user", "bob"): "'bob' is not a Clerk user id (user_…)",
    (
        "--post",
        "http://elsewhere.example.com",
    ): "must be https:// (plain http only to this machine)",
    ("--post", "https://me:secret@example.com"): "must have no credentials in it",
    ("--secret", "whsec_x"): "No such option: --secret",
}


@pytest.mark.parametrize("options", WRONG, ids=" ".join)
async def test_an_operators_mistake_gets_clear_words_and_64(
    operator: Operator, options: tuple[str, ...]
) -> None:
    ended = await operator.run("journal", *options)
    assert ended.code == 64
    assert WRONG[options] in ended.said
    assert "Traceback" not in ended.said


async def test_an_unreachable_store_is_69(operator: Operator) -> None:
    nowhere = "postgresql://nobody:hidden@127.0.0.1:1/nowhere"
    ended = await operator.run("journal", DATABASE_URL=nowhere)
    assert (ended.code, "hidden" in ended.said) == (69, False)
    assert "The store is unavailable" in ended.said


async def test_posted_deliveries_are_signed_afresh_and_taken_in(
    clerk: ClerkEmulator, operator: Operator, database: Database, other_url: str
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.updated", svix_id="msg_2")
    async with listening_service(clerk, other_url) as there:
        assert await operator.outcomes("journal", "--post", there.url) == {"accepted": 2}
        assert await there.fetch("select first_name, synced_by from users") == [
            ("Augusta Ada", "webhook")
        ]


async def test_what_is_quarantined_over_there_is_said_to_be(
    clerk: ClerkEmulator, operator: Operator, database: Database, other_url: str
) -> None:
    await quarantined(database, b"not json", svix_id="msg_1")
    async with listening_service(clerk, other_url) as there:
        ended = await operator.run("journal", "--post", there.url)
    assert ended.code == 65
    assert ended.err == "msg_1: quarantined: quarantined there\n"


async def test_a_posted_deletion_needs_no_body_either(
    clerk: ClerkEmulator, operator: Operator, database: Database, other_url: str
) -> None:
    await happened(database, "user.deleted", svix_id="msg_1")
    async with listening_service(clerk, other_url) as there:
        await operator.run("journal", "--post", there.url)
        told = await there.fetch("select clerk_id, deleted_at is not null from users")
    assert told == [(envelope("user.deleted")["data"]["id"], True)]


async def test_another_environments_secret_is_a_setting(
    clerk: ClerkEmulator, operator: Operator, database: Database, other_url: str
) -> None:
    await happened(database, "user.created")
    theirs = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    async with listening_service(clerk, other_url, clerk_webhook_signing_secret=theirs) as there:
        refused = await operator.run("journal", "--post", there.url)
        assert (refused.code, "failed: answered 400" in refused.said) == (65, True)
        taken = await operator.outcomes(
            "journal", "--post", there.url, REPLAY_SIGNING_SECRET=theirs
        )
        assert taken == {"accepted": 1}


async def test_a_dry_run_posts_nothing(
    clerk: ClerkEmulator, operator: Operator, database: Database, other_url: str
) -> None:
    await happened(database, "user.created")
    async with listening_service(clerk, other_url) as there:
        said = await operator.outcomes("journal", "--dry-run", "--post", there.url)
        assert said == {"to post": 1}
        assert await there.fetch("select * from sync_journal") == []


async def test_an_endpoint_that_does_not_answer_is_69(
    operator: Operator, database: Database
) -> None:
    await happened(database, "user.created")
    ended = await operator.run("journal", "--post", "http://127.0.0.1:1")
    assert ended.code == 69
    assert "The service to post to is unavailable: ConnectError" in ended.said
