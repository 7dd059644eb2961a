"""The figures about webhooks on which alerts stand."""

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import INSTANCE, envelope, webhook_bytes
from tests.adapters.postgres.faults import refusing
from tests.postgres_server import Sql
from tests.running import Service, running_service

NOT_STORED = ("webhook_refusals_total", frozenset({("code", "storage_unavailable")}))
LEFT_ALONE = ("event_not_followed", "other_instance")
LAST_DELIVERY = "webhook_last_delivery_timestamp_seconds"
APPLIED = "sync_lag_seconds_count"


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


async def test_what_is_left_alone_does_not_show_that_users_webhooks_arrive(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with running_service(clerk, store_url, clerk_instance_id=INSTANCE) as service:
        await service.deliver(webhook_bytes("session.created"))
        await service.deliver(envelope(instance_id="ins_another"))
        samples = await service.samples()
        counted = {dict(labels).get("outcome") for name, labels in samples if "deliveries" in name}
        assert counted == {*LEFT_ALONE}
        assert await service.metric(LAST_DELIVERY) == 0
        assert await service.metric(APPLIED) == 0
        await service.deliver(webhook_bytes("user.created"))
        assert await service.metric(LAST_DELIVERY) > 0
        assert await service.metric(APPLIED) == 1
