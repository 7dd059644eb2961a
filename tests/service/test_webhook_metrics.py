"""The figures about webhooks on which alerts stand."""

from collections.abc import Sequence
from dataclasses import replace

from domain.sync_user import VerifiedDelivery
from scripts.clerk_emulator import ClerkEmulator
from service.app import mount_health
from service.services import attach, services_of
from tests.adapters.clerk.payloads import INSTANCE, envelope, webhook_bytes
from tests.adapters.postgres.faults import refusing
from tests.postgres_server import Sql
from tests.running import Service, client_of, running_service, settings_for
from tests.service import example_app

NOT_STORED = ("webhook_refusals_total", frozenset({("code", "storage_unavailable")}))
FAULTS = ("webhook_refusals_total", frozenset({("code", "internal_error")}))
DELIVERIES = "webhook_deliveries_total"
LEFT_ALONE = ("event_not_followed", "other_instance")
LAST_DELIVERY = "webhook_last_delivery_timestamp_seconds"
APPLIED = "sync_lag_seconds_count"


async def test_a_delivery_that_the_store_refuses_is_counted(own_service: Service, sql: Sql) -> None:
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
        counted = {dict(labels)["outcome"] for name, labels in samples if name == DELIVERIES}
        assert counted == {*LEFT_ALONE}
        assert await service.metric(LAST_DELIVERY) == 0
        assert await service.metric(APPLIED) == 0
        await service.deliver(webhook_bytes("user.created"))
        assert await service.metric(LAST_DELIVERY) > 0
        assert await service.metric(APPLIED) == 1


class Faulty:
    """A verifier with a bug."""

    def verify(
        self, unverified_headers: Sequence[tuple[bytes, bytes]], unverified_body: bytes
    ) -> VerifiedDelivery:
        del unverified_headers, unverified_body
        raise LookupError


async def test_a_fault_of_ours_in_a_hosts_application_is_counted(
    clerk: ClerkEmulator, store_url: str
) -> None:
    """The host's requests are its own: nothing else of ours counts them."""
    app = example_app.shop(settings_for(clerk, store_url))
    mount_health(app)
    async with app.router.lifespan_context(app), client_of(app) as http:
        shop = Service(http, app, clerk.config.webhook_secrets[0])
        assert (await shop.samples())[FAULTS] == 0
        services = services_of(app)
        attach(app, replace(services, clerk=replace(services.clerk, webhooks=Faulty())))
        assert (await shop.deliver(webhook_bytes("user.created"))).status_code == 500
        samples = await shop.samples()
        assert samples[FAULTS] == 1
        assert not [name for name, _ in samples if name.startswith("http_requests")]
