"""Deliveries as Clerk makes them: the answer, the user's row and the journal."""

import asyncio
import json
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import (
    ADA,
    INSTANCE,
    MISSING,
    envelope,
    ms,
    webhook_bytes,
    webhook_names,
    with_data,
)
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, Service, problem, running_service, svix_headers
from tests.service.tables import count_rows, everything_stored, journal, stored_user

NOBODY: dict[str, Any] = {
    "email": None,
    "email_verified": False,
    "phone_number": None,
    "username": None,
    "first_name": None,
    "last_name": None,
    "external_id": None,
    "public_metadata": {},
    "banned": False,
}
ADA_CREATED = NOBODY | {
    "email": "ada@example.com",
    "email_verified": True,
    "first_name": "Ada",
    "last_name": "Lovelace",
}
ADA_UPDATED = ADA_CREATED | {
    "first_name": "Augusta Ada",
    "username": "ada",
    "external_id": "42",
    "public_metadata": {"plan": "pro"},
}

LIVE = {
    "user.created": ADA_CREATED,
    "user.created.email_reused_after_delete": NOBODY
    | {"email": "ada@example.com", "email_verified": True},
    "user.created.no_names": NOBODY | {"email": "noname@example.com", "email_verified": True},
    "user.created.phone_only": NOBODY | {"phone_number": "+15555550100", "first_name": "Pat"},
    "user.created.unverified_primary_email": NOBODY | {"email": "unverified@example.com"},
    "user.created.username_only": NOBODY | {"username": "ghost_rider"},
    "user.updated": ADA_UPDATED,
    "user.updated.banned": ADA_UPDATED | {"banned": True},
    "user.updated.deprovisioned_scim": ADA_UPDATED | {"banned": True},
    "user.updated.locked": ADA_UPDATED,
    "user.updated.multi_email_primary_not_first": NOBODY
    | {
        "email": "primary@example.com",
        "email_verified": True,
        "first_name": "Mia",
        "last_name": "Multi",
    },
    "user.updated.private_metadata_null_and_missing_optionals": ADA_UPDATED,
    "user.updated.stale_older_than_updated": ADA_CREATED | {"first_name": "StaleName"},
    "user.updated.unbanned": ADA_UPDATED,
    "user.updated.unknown_future_fields": ADA_UPDATED,
}
DELETIONS = ["user.deleted", "user.deleted.with_external_id"]
IGNORED = ["organization.created", "session.created", "session.revoked", "unknown.event"]


def test_every_recorded_payload_is_in_a_table_here() -> None:
    assert sorted([*LIVE, *DELETIONS, *IGNORED]) == webhook_names()


@pytest.mark.parametrize("name", LIVE)
async def test_a_user_is_stored_as_clerk_shows_them(service: Service, sql: Sql, name: str) -> None:
    event = envelope(name)
    answer = await service.deliver(webhook_bytes(name))
    assert (answer.status_code, answer.content) == (204, b"")
    user = await stored_user(sql, event["data"]["id"])
    assert {column: user[column] for column in NOBODY} == LIVE[name]
    assert user["clerk_updated_at"] == ms(event["data"]["updated_at"])
    assert user["clerk_created_at"] == ms(event["data"]["created_at"])
    assert user["observed_at"] == ms(event["timestamp"])
    assert (user["image_url"], user["synced_by"]) == (event["data"].get("image_url"), "webhook")


@pytest.mark.parametrize("name", [*LIVE, *DELETIONS])
async def test_a_delivery_is_journaled_with_what_it_did(
    service: Service, sql: Sql, name: str
) -> None:
    event = envelope(name)
    await service.deliver(webhook_bytes(name), svix_id="msg_1")
    (entry,) = await journal(sql)
    assert (entry["svix_id"], entry["event_type"]) == ("msg_1", event["type"])
    assert (entry["clerk_id"], entry["source"]) == (event["data"]["id"], "webhook")
    assert entry["outcome"] == ("deleted" if name in DELETIONS else "created")
    assert entry["occurred_at"] == ms(event["timestamp"])
    assert (entry["deliveries"], entry["error"]) == (1, None)


@pytest.mark.parametrize("name", DELETIONS)
async def test_a_deletion_leaves_a_tombstone_and_no_body(
    service: Service, sql: Sql, name: str
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    assert (await service.deliver(webhook_bytes(name))).status_code == 204
    user = await stored_user(sql, ADA)
    assert user["deleted_at"] == ms(envelope(name)["timestamp"])
    assert {column: user[column] for column in NOBODY} == dict.fromkeys(NOBODY)
    assert [entry["body"] for entry in await journal(sql)] == [None, None]


@pytest.mark.parametrize("name", IGNORED)
async def test_an_event_we_do_not_follow_is_counted_and_leaves_no_row(
    service: Service, sql: Sql, name: str
) -> None:
    labels = {"type": "other", "outcome": "event_not_followed"}
    before = await service.metric("webhook_deliveries_total", **labels)
    assert (await service.deliver(webhook_bytes(name))).status_code == 204
    assert await count_rows(sql) == (0, 0)
    assert await service.metric("webhook_deliveries_total", **labels) == before + 1


async def test_an_event_of_another_instance_is_counted_and_not_applied(
    service: Service, sql: Sql
) -> None:
    labels = {"type": "user.created", "outcome": "other_instance"}
    before = await service.metric("webhook_deliveries_total", **labels)
    answer = await service.deliver(envelope(instance_id="ins_somebodyelses"))
    assert answer.status_code == 204
    assert await count_rows(sql) == (0, 0)
    assert await service.metric("webhook_deliveries_total", **labels) == before + 1


@pytest.mark.parametrize("instance_id", [None, MISSING])
async def test_an_event_without_an_instance_is_quarantined(
    service: Service, sql: Sql, instance_id: Any
) -> None:
    answer = await service.deliver(envelope(instance_id=instance_id))
    assert answer.status_code == 202
    assert await count_rows(sql) == (0, 1)
    assert await sql.fetchval("select error from sync_journal") == "no_instance_id"


STORY = [
    ("user.created", "created", "Ada"),
    ("user.updated", "updated", "Augusta Ada"),
    ("user.updated", "unchanged", "Augusta Ada"),
    ("user.updated.stale_older_than_updated", "stale", "Augusta Ada"),
    ("user.created", "stale", "Augusta Ada"),
    ("user.updated.banned", "updated", "Augusta Ada"),
    ("user.updated.unbanned", "updated", "Augusta Ada"),
    ("user.deleted", "deleted", None),
    ("user.updated.unknown_future_fields", "gone", None),
    ("user.deleted", "unchanged", None),
]


async def test_all_six_outcomes_are_answered_alike_and_journaled_apart(
    service: Service, sql: Sql
) -> None:
    for name, outcome, first_name in STORY:
        answer = await service.deliver(webhook_bytes(name))
        assert (answer.status_code, answer.content) == (204, b""), name
        assert (await journal(sql))[-1]["outcome"] == outcome
        assert (await stored_user(sql, ADA))["first_name"] == first_name


async def test_what_arrives_after_the_tombstone_is_journaled_without_its_body(
    service: Service, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.deleted"))
    await service.deliver(webhook_bytes("user.updated"))
    assert [(entry["outcome"], entry["body"]) for entry in await journal(sql)] == [
        ("deleted", None),
        ("gone", None),
    ]


async def test_an_address_may_pass_to_another_user(service: Service, sql: Sql) -> None:
    for name in ("user.created", "user.created.email_reused_after_delete", "user.deleted"):
        assert (await service.deliver(webhook_bytes(name))).status_code == 204
    owners = await sql.fetch("select clerk_id from users where email = 'ada@example.com'")
    assert [owner["clerk_id"] for owner in owners] == ["user_3L8fwdtbCRVkkpep5g9Xk2AGoKb"]


async def test_private_and_unsafe_metadata_and_the_client_are_stored_nowhere(
    service: Service, sql: Sql
) -> None:
    secrets: dict[str, Any] = {
        "private_metadata": {"k": "canary-p"},
        "unsafe_metadata": {"k": "canary-u"},
    }
    await service.deliver(with_data(**secrets))
    stored = await everything_stored(sql)
    assert "ada@example.com" in stored
    for canary in ("canary-p", "canary-u", "203.0.113.10", "Mozilla/5.0"):
        assert canary not in stored


async def test_it_is_not_acknowledged_before_it_is_committed(service: Service, sql: Sql) -> None:
    await service.deliver(webhook_bytes("user.created"))
    async with sql.transaction():
        await sql.execute("select from users for update")
        delivery = asyncio.create_task(service.deliver(webhook_bytes("user.updated")))
        answered, _ = await asyncio.wait([delivery], timeout=0.3)
        assert not answered
    assert (await delivery).status_code == 204
    assert (await stored_user(sql, ADA))["username"] == "ada"


async def test_without_a_store_svix_is_asked_to_try_again(clerk: ClerkEmulator) -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/nowhere"
    async with running_service(clerk, nowhere) as service:
        for event in (webhook_bytes("user.created"), b"poison"):
            answer = await service.deliver(event)
            assert answer.status_code == 503
            assert answer.json() == problem(503, "storage_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert (await service.deliver(webhook_bytes("session.created"))).status_code == 204


@pytest.mark.parametrize("spelling", [WEBHOOKS, f"{WEBHOOKS}/"])
async def test_both_spellings_of_the_address_work(
    service: Service, sql: Sql, spelling: str
) -> None:
    body = webhook_bytes("user.created")
    headers = svix_headers(service.secret, body)
    answer = await service.http.post(spelling, content=body, headers=headers)
    assert answer.status_code == 204
    assert await count_rows(sql) == (1, 1)


async def test_the_emulators_own_webhooks_are_taken(
    service: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"], first_name="Grace")
    for message in clerk.sender.messages.values():
        event = json.loads(message.body)
        if event["data"]["id"] == person["id"]:
            assert event["instance_id"] == INSTANCE
            answer = await service.deliver(message.body.encode(), svix_id=message.svix_id)
            assert answer.status_code == 204
    assert (await stored_user(sql, person["id"]))["first_name"] == "Grace"


@pytest.mark.parametrize("event_type", ["user.created", "user.updated", "user.deleted"])
async def test_the_dashboards_examples_are_answered_and_not_applied(
    service: Service, clerk: ClerkEmulator, sql: Sql, event_type: str
) -> None:
    example = clerk.send_example(event_type)
    assert (await service.deliver(example.body.encode())).status_code == 204
    assert await count_rows(sql) == (0, 0)
