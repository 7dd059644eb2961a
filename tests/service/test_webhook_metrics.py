"""The figures about webhooks on which alerts stand."""

from tests.adapters.clerk.payloads import webhook_bytes
from tests.adapters.postgres.faults import refusing
from tests.postgres_server import Sql
from tests.running import Service

NOT_STORED = ("webhook_refusals_total", frozenset({("code", "storage_unavailable")}))


async def test_a_delivery_that_the_store_refuses_is_counted(
    own_service: Service, sql: Sql
) -> None:
    """An alert is about the increase of these, and a series has none when it begins with 1."""
    assert (await own_service.samples())[NOT_STORED] == 0
    async with refusing(sql, "53100"):
        await own_service.deliver(webhook_bytes("user.created"))
    assert (await own_service.samples())[NOT_STORED] == 1


async def test_what_cannot_be_quarantined_is_counted_too(own_service: Service, sql: Sql) -> None:
    async with refusing(sql, "53100", table="sync_journal"):
        await own_service.deliver(b"unreadable")
    assert (await own_service.samples())[NOT_STORED] == 1
