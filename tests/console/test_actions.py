"""What an operator does, what comes of it, and what the audit trail says."""

import asyncio

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import quarantined
from tests.console.operator_actions import A_MISSED_WEBHOOK, run, trail
from tests.console.visitors import Visitor, proof_in
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import Service
from tests.service.tables import journal, stored_user


async def test_sync_now_brings_in_a_user_we_never_saw(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["new@example.com"])["id"]
    assert "a row will be created" in (await operator.get(f"/users/{person}/sync")).text
    assert (await operator.confirm(f"/users/{person}/sync")).status_code == 303
    assert (await stored_user(sql, person))["email"] == "new@example.com"
    assert await trail(sql) == [("operator token", "sync now", person, "created")]


async def test_sync_now_makes_a_spoiled_row_right(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["right@example.com"])["id"]
    await operator.confirm(f"/users/{person}/sync")
    await sql.execute(
        "update users set email = 'wrong@example.com', observed_at = observed_at - interval '1 h'"
    )
    page = await operator.get(f"/users/{person}/clerk")
    assert "wrong@example.com" in page.text
    assert "1 field differs" in page.text
    shown = (await operator.get(f"/users/{person}/sync")).text
    assert "wrong@example.com" in shown
    assert "right@example.com" in shown
    await operator.confirm(f"/users/{person}/sync")
    assert (await stored_user(sql, person))["email"] == "right@example.com"


async def test_sync_now_takes_over_a_version_that_is_newer_though_the_contents_agree(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["missed@example.com"])["id"]
    await operator.confirm(f"/users/{person}/sync")
    await sql.execute(A_MISSED_WEBHOOK)
    page = (await operator.get(f"/users/{person}/clerk")).text
    assert "1 field differs" in page
    assert "The contents agree; Clerk's version or last sign-in is newer." in page
    shown = (await operator.get(f"/users/{person}/sync")).text
    assert "A newer version or last sign-in of Clerk" in shown
    assert "clerk_updated_at" in shown
    await operator.confirm(f"/users/{person}/sync")
    assert (await trail(sql))[-1] == ("operator token", "sync now", person, "unchanged")
    assert "Both sides agree" in (await operator.get(f"/users/{person}/clerk")).text
    assert "clerk_updated_at" not in (await operator.get(f"/users/{person}/sync")).text


async def test_sync_now_tombstones_whom_clerk_does_not_know(
    service: Service, operator: Visitor, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    assert "There is no way back" in (await operator.get(f"/users/{ADA}/sync")).text
    await operator.confirm(f"/users/{ADA}/sync")
    user = await stored_user(sql, ADA)
    assert (user["email"], user["deleted_at"] is not None) == (None, True)
    assert await trail(sql) == [("operator token", "sync now", ADA, "deleted")]
    page = (await operator.get(f"/users/{ADA}")).text
    assert "came by reconcile" in page
    assert "What operators did" in page


async def test_what_was_confirmed_is_done_or_nothing(
    service: Service, operator: Visitor, sql: Sql
) -> None:
    """The page said that nothing would happen; by now it would be a tombstone."""
    await service.deliver(webhook_bytes("user.created"))
    answer = await operator.confirm(f"/users/{ADA}/sync", confirmed="unchanged")
    assert answer.status_code == 409
    assert (await stored_user(sql, ADA))["deleted_at"] is None
    assert await trail(sql) == [("operator token", "sync now", ADA, "changed meanwhile")]


async def test_another_instances_key_tombstones_nobody(
    own_service: Service, own_operator: Visitor, sql: Sql, own_clerk: ClerkEmulator
) -> None:
    """The settings name the instance; the key that Clerk signs with is another's by now."""
    person = own_clerk.create_user(email_address=["a@example.com"])["id"]
    await own_operator.confirm(f"/users/{person}/sync")
    own_clerk.delete_user(person)
    own_clerk.keys.rotate("ins_another")
    answer = await own_operator.confirm(f"/users/{person}/sync")
    assert (answer.status_code, "CLERK_SECRET_KEY is of ins_another" in answer.text) == (409, True)
    assert (await stored_user(sql, person))["deleted_at"] is None


async def test_a_replayed_delivery_leaves_quarantine(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"))
    entry = (await journal(sql))[0]["id"]
    assert "created" in (await operator.get(f"/deliveries/{entry}/replay")).text
    await operator.confirm(f"/deliveries/{entry}/replay")
    assert (await journal(sql))[0]["outcome"] == "created"
    assert await trail(sql) == [("operator token", "replay", "msg_q", "created")]
    page = (await operator.get(f"/deliveries/{entry}")).text
    assert "replay by <bdi>operator token</bdi>: <bdi>created</bdi>" in page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"still poison",
            "It still cannot be read, and stays in quarantine: its body is not JSON.",
        ),
        (b'{"type": "session.created"}', "It is not followed, and nothing will change"),
        (None, "Its body is erased or has expired"),
        (webhook_bytes("user.created"), "a row will be created"),
        (webhook_bytes("user.deleted"), "There is no way back"),
    ],
)
async def test_a_replay_is_foretold_in_words(
    *, operator: Visitor, database: Database, sql: Sql, body: bytes | None, words: str
) -> None:
    await quarantined(database, body or b"")
    if body is None:
        await sql.execute("update sync_journal set body = null")
    entry = (await journal(sql))[0]["id"]
    assert words in (await operator.get(f"/deliveries/{entry}/replay")).text


async def test_what_was_no_delivery_cannot_be_replayed(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["b@example.com"])["id"]
    await operator.confirm(f"/users/{person}/sync")
    entry = (await journal(sql))[0]["id"]
    assert (await operator.get(f"/deliveries/{entry}/replay")).status_code == 409


async def test_a_group_in_quarantine_is_replayed_and_no_other(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"), svix_id="msg_a")
    await quarantined(database, b"still poison", svix_id="msg_b", clerk_id=None)
    await quarantined(database, b"another cause", svix_id="msg_c", clerk_id=None)
    await sql.execute("update sync_journal set error = 'other' where svix_id = 'msg_c'")
    page = await operator.get("/quarantine/replay?error=wrong_type")
    assert "2 deliveries will be read again" in page.text
    assert "their outcomes would be: 1 created, 1 quarantined" in page.text
    await run(operator, sql, "/quarantine/replay?error=wrong_type")
    outcomes = {entry["svix_id"]: entry["outcome"] for entry in await journal(sql)}
    assert outcomes == {"msg_a": "created", "msg_b": "quarantined", "msg_c": "quarantined"}
    who, action, target, result = (await trail(sql))[0]
    assert (who, action, target) == ("operator token", "replay quarantined", "wrong_type")
    assert result == "1 created, 1 quarantined"


async def test_a_row_is_on_the_trail_before_anything_is_done(
    own_operator: Visitor, own_clerk: ClerkEmulator, sql: Sql
) -> None:
    """Clerk does not answer yet, and meanwhile the trail can be read."""
    person = own_clerk.create_user(email_address=["slow@example.com"])["id"]
    page = await own_operator.get(f"/users/{person}/sync")
    own_clerk.faults.add(ApiFault(kind=FaultKind.HOLD))
    fields = {"confirmed": "created", "form_proof": proof_in(page)}
    posting = asyncio.ensure_future(own_operator.post(f"/users/{person}/sync", fields))

    async def written() -> bool:
        return await trail(sql) == [("operator token", "sync now", person, None)]

    await eventually(written)
    own_clerk.faults.clear()
    assert (await posting).status_code == 303
    assert (await trail(sql))[0][3] == "created"


AHEAD = """
update users set clerk_updated_at = clerk_updated_at + interval '1 year', email = 'wrong@a.example',
    digest = '\\x00'
"""


async def test_a_row_ahead_of_clerk_is_overwritten_by_decision(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["clerks@example.com"])["id"]
    await operator.confirm(f"/users/{person}/sync")
    assert (await operator.get(f"/users/{person}/trust-clerk")).status_code == 409
    await sql.execute(AHEAD)
    assert "Trust Clerk" in (await operator.get(f"/users/{person}/clerk")).text
    assert (await operator.confirm(f"/users/{person}/sync")).status_code == 303
    assert (await stored_user(sql, person))["email"] == "wrong@a.example"
    shown = (await operator.get(f"/users/{person}/trust-clerk")).text
    assert "wrong@a.example" in shown
    assert "clerks@example.com" in shown
    assert (await operator.confirm(f"/users/{person}/trust-clerk")).status_code == 303
    assert (await stored_user(sql, person))["email"] == "clerks@example.com"
    assert "Both sides agree" in (await operator.get(f"/users/{person}/clerk")).text
    assert (await trail(sql))[-1] == ("operator token", "trust clerk", person, "updated")


@pytest.mark.parametrize(
    ("confirmed", "status"), [("2020-01-01T00:00:00+00:00", 409), ("-", 400), ("now", 400)]
)
async def test_another_version_than_the_confirmed_one_is_not_overwritten(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql, confirmed: str, status: int
) -> None:
    person = clerk.create_user(email_address=[f"{confirmed[:4]}@example.com"])["id"]
    await operator.confirm(f"/users/{person}/sync")
    await sql.execute(AHEAD)
    answer = await operator.confirm(f"/users/{person}/trust-clerk", confirmed=confirmed)
    assert answer.status_code == status
    assert (await stored_user(sql, person))["email"] == "wrong@a.example"


async def test_junk_is_dismissed_with_a_reason(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, b"?", clerk_id=None)
    entry = (await journal(sql))[0]["id"]
    path = f"/deliveries/{entry}/dismiss"
    assert (await operator.confirm(path, reason=" ")).status_code == 400
    assert (await operator.confirm(path, reason="a <b>test</b>")).status_code == 303
    page = (await operator.get(f"/deliveries/{entry}")).text
    assert "1 dismissed: a &lt;b&gt;test" in page
    assert "Dismissed: a field is not of the kind" in page
    assert "The quarantine is empty" in (await operator.get("/quarantine")).text
    assert str(entry) in (await operator.get("/deliveries?outcome=dismissed")).text
    assert (
        "/deliveries/"
        not in (await operator.get("/deliveries?outcome=quarantined")).text.partition("<tbody>")[2]
    )
    assert (await operator.get(path)).status_code == 409
    assert await trail(sql) == [("operator token", "dismiss", "msg_q", "1 dismissed")]


async def test_a_dismissed_delivery_can_be_replayed(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"))
    path = f"/deliveries/{(await journal(sql))[0]['id']}"
    await operator.confirm(f"{path}/dismiss", reason="not needed")
    assert "a row will be created" in (await operator.get(f"{path}/replay")).text
    assert (await operator.confirm(f"{path}/replay")).status_code == 303
    assert (await journal(sql))[0]["outcome"] == "created"
    assert (await trail(sql))[-1] == ("operator token", "replay", "msg_q", "created")
    attempts = (await operator.get(path)).text.partition('id="attempts"')[2]
    assert "first received" in attempts.partition("1 dismissed")[0]
    assert "replay by" in attempts.partition("1 dismissed")[2]


async def test_a_cause_is_dismissed_as_a_whole(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    for number in range(3):
        await quarantined(database, b"?", svix_id=f"msg_{number}", clerk_id=None)
    await sql.execute("update sync_journal set error = 'another' where svix_id = 'msg_2'")
    page = await operator.get("/quarantine/dismiss?error=wrong_type")
    assert "2 deliveries with this cause" in page.text
    answer = await operator.confirm("/quarantine/dismiss?error=wrong_type", reason="old tool")
    assert answer.status_code == 303
    assert await trail(sql) == [("operator token", "dismiss", "wrong_type", "2 dismissed")]
    left = (await operator.get("/quarantine")).text
    assert "another" in left
    assert "wrong_type" not in left
    answer = await operator.confirm("/quarantine/dismiss?error=wrong_type", error="", reason="x")
    assert answer.status_code == 400


async def test_each_view_of_a_body_is_on_the_trail(
    operator: Visitor, service: Service, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"), svix_id="msg_b")
    entry = (await journal(sql))[0]["id"]
    await operator.get(f"/deliveries/{entry}")
    assert await trail(sql) == []
    for _ in range(2):
        await operator.get(f"/deliveries/{entry}/body")
    assert await trail(sql) == [("operator token", "view body", "msg_b", "shown")] * 2
    await sql.execute("update sync_journal set body = null")
    await operator.get(f"/deliveries/{entry}/body")
    assert len(await trail(sql)) == 2
