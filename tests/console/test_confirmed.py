"""What the page of a confirmation promised is done, or nothing is."""

import pytest

from adapters.postgres.database import Database
from tests.adapters.clerk.payloads import webhook_bytes
from tests.commands.arrivals import quarantined
from tests.console.operator_actions import trail
from tests.console.visitors import Visitor, fields_of
from tests.postgres_server import Sql
from tests.service.tables import journal


@pytest.mark.parametrize("action", ["dismiss", "replay"])
async def test_a_group_that_has_grown_is_left_as_it_is(
    operator: Visitor, database: Database, sql: Sql, action: str
) -> None:
    for number in range(2):
        await quarantined(database, b"?", svix_id=f"msg_{number}", clerk_id=None)
    page = await operator.get(f"/quarantine/{action}?error=wrong_type")
    await quarantined(database, webhook_bytes("user.deleted"), svix_id="msg_unseen")
    fields = {**fields_of(page), "reason": "old tool"}
    answer = await operator.post(f"/quarantine/{action}", fields)
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    assert [entry["dismissed_at"] for entry in await journal(sql)] == [None] * 3
    assert {entry["outcome"] for entry in await journal(sql)} == {"quarantined"}
    assert await trail(sql) == []


@pytest.mark.parametrize("action", ["dismiss", "replay"])
async def test_a_group_of_which_one_has_left_and_another_has_come_is_left_as_it_is(
    operator: Visitor, database: Database, sql: Sql, action: str
) -> None:
    for number in range(2):
        await quarantined(database, b"?", svix_id=f"msg_{number}", clerk_id=None)
    page = await operator.get(f"/quarantine/{action}?error=wrong_type")
    first = (await journal(sql))[0]["id"]
    await operator.confirm(f"/deliveries/{first}/dismiss", reason="old tool")
    await quarantined(database, b"?", svix_id="msg_unseen", clerk_id=None)
    fields = {**fields_of(page), "reason": "old tool"}
    answer = await operator.post(f"/quarantine/{action}", fields)
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    dismissed = [entry["dismissed_at"] is not None for entry in await journal(sql)]
    assert dismissed == [True, False, False]
    assert len(await trail(sql)) == 1


async def test_a_group_whose_replay_would_do_something_else_is_left_as_it_is(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    """The page said that a row will be created; by now it would become a tombstone."""
    await quarantined(database, webhook_bytes("user.created"))
    page = await operator.get("/quarantine/replay?error=wrong_type")
    assert "their outcomes would be: 1 created" in page.text
    await sql.execute("update sync_journal set body = $1", webhook_bytes("user.deleted"))
    answer = await operator.post("/quarantine/replay", fields_of(page))
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    assert (await journal(sql))[0]["outcome"] == "quarantined"
    assert await trail(sql) == []


async def test_a_delivery_whose_replay_would_do_something_else_is_left_as_it_is(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    """The page said that a row will be created; by now it would become a tombstone."""
    await quarantined(database, webhook_bytes("user.created"))
    path = f"/deliveries/{(await journal(sql))[0]['id']}/replay"
    page = await operator.get(path)
    await sql.execute("update sync_journal set body = $1", webhook_bytes("user.deleted"))
    answer = await operator.post(path, fields_of(page))
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    assert (await journal(sql))[0]["outcome"] == "quarantined"
    assert await trail(sql) == []
