"""Deliveries that arrived some time ago, and their journal entries."""

import json
from typing import Any

from adapters.clerk.translate.delivery import read_delivery
from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.users import PostgresUserRepository
from domain.sync_user import FollowedDelivery, UnreadableDelivery
from domain.user import Source, UserId
from tests.adapters.clerk.payloads import ADA, SENT_AT, webhook_bytes
from tests.postgres_server import Sql


async def happened(database: Database, name: str, *, svix_id: str = "msg_1") -> None:
    """A recorded delivery arrived and was applied."""
    delivery = read_delivery(
        webhook_bytes(name),
        svix_id=svix_id,
        sent_at=SENT_AT,
        instance_id=None,
        source=Source.WEBHOOK,
    )
    assert isinstance(delivery, FollowedDelivery)
    await PostgresUserRepository(database).sync(delivery.command)


async def quarantined(
    database: Database, body: bytes, *, svix_id: str = "msg_q", clerk_id: str | None = ADA
) -> None:
    """A delivery arrived that the code of that time could not read."""
    poison = UnreadableDelivery(
        svix_id=svix_id,
        body=body,
        reason="wrong_type",
        event_type="user.updated",
        clerk_id=UserId(clerk_id) if clerk_id else None,
    )
    await PostgresJournal(database).quarantine(poison)


async def entries(sql: Sql) -> list[dict[str, Any]]:
    """The whole journal, oldest first."""
    return [dict(entry) for entry in await sql.fetch("select * from sync_journal order by id")]


def line(name: str = "user.created", **changes: Any) -> bytes:
    fields = {
        "svix_id": f"msg_{name.replace('.', '_')}",
        "event_type": name,
        "occurred_at": "2025-10-09T11:40:00Z",
        "received_at": "2025-10-09T11:40:00Z",
        "body": webhook_bytes(name).decode(),
        **changes,
    }
    return json.dumps(fields).encode() + b"\n"
