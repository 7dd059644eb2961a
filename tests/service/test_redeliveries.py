"""The same delivery again, another one under its id, and secrets that are rotated meanwhile."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.deliveries import OTHER_SECRET, SECRET
from tests.adapters.clerk.payloads import (
    ADA,
    webhook_bytes,
)
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, Service, running_service, svix_headers
from tests.service.tables import count_rows, journal, stored_user


async def test_the_same_delivery_again_only_counts_up(service: Service, sql: Sql) -> None:
    for _ in range(3):
        answer = await service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
        assert answer.status_code == 204
    (entry,) = await journal(sql)
    assert (entry["outcome"], entry["deliveries"]) == ("created", 3)
    assert await count_rows(sql) == (1, 1)


async def test_a_redelivery_rebuilds_a_lost_row(service: Service, sql: Sql) -> None:
    await service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    await sql.execute("delete from users")
    await service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    assert (await stored_user(sql, ADA))["email"] == "ada@example.com"


async def test_of_two_bodies_under_one_svix_id_both_are_kept_and_it_is_counted(
    service: Service, sql: Sql
) -> None:
    before = await service.metric("webhook_conflicting_redeliveries_total")
    await service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    await service.deliver(webhook_bytes("user.updated"), svix_id="msg_1")
    kept = {entry["svix_id"]: json.loads(entry["body"])["type"] for entry in await journal(sql)}
    assert kept.pop("msg_1") == "user.created"
    assert list(kept.values()) == ["user.updated"]
    assert await service.metric("webhook_conflicting_redeliveries_total") == before + 1


async def test_the_same_body_again_is_not_a_conflict(service: Service, sql: Sql) -> None:
    before = await service.metric("webhook_conflicting_redeliveries_total")
    for _ in range(2):
        await service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    assert await service.metric("webhook_conflicting_redeliveries_total") == before


async def test_one_delivery_a_hundred_times_at_once_is_one_row_and_one_entry(
    service: Service, sql: Sql
) -> None:
    body = webhook_bytes("user.created")
    answers = await asyncio.gather(*(service.deliver(body, svix_id="msg_1") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {204}
    (entry,) = await journal(sql)
    assert (entry["outcome"], entry["deliveries"]) == ("created", 100)
    assert await count_rows(sql) == (1, 1)


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
async def test_while_a_secret_is_rotated_either_proves(
    clerk: ClerkEmulator, store_url: str, secret: str
) -> None:
    both = f" {SECRET} , {OTHER_SECRET} "
    async with running_service(clerk, store_url, clerk_webhook_signing_secret=both) as service:
        body = webhook_bytes("user.created")
        headers = svix_headers(secret, body)
        answer = await service.http.post(WEBHOOKS, content=body, headers=headers)
        assert answer.status_code == 204


async def test_signed_with_the_old_and_the_new_secret_it_is_proven_by_one(
    service: Service, sql: Sql
) -> None:
    body = webhook_bytes("user.created")
    headers = svix_headers(service.secret, body, svix_id="msg_1")
    old = svix_headers(OTHER_SECRET, body, svix_id="msg_1")["svix-signature"]
    headers["svix-signature"] = f"{old} {headers['svix-signature']}"
    answer = await service.http.post(WEBHOOKS, content=body, headers=headers)
    assert answer.status_code == 204
    assert await count_rows(sql) == (1, 1)


@pytest.mark.parametrize("offset", [-240, 299])
async def test_captured_and_sent_again_within_five_minutes_it_changes_nothing(
    service: Service, sql: Sql, offset: int
) -> None:
    """To the second in `tests/simulation`, where time stands still meanwhile."""
    when = datetime.now(UTC) + timedelta(seconds=offset)
    for _ in range(2):
        answer = await service.deliver(webhook_bytes("user.created"), svix_id="msg_1", when=when)
        assert answer.status_code == 204
    assert await count_rows(sql) == (1, 1)
