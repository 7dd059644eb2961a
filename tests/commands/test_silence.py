"""Webhook silence: users sign up, and their webhooks do not arrive."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import happened
from tests.postgres_server import Sql
from tests.running import Service, running_service

LONG_AGO = "update sync_journal set received_at = now() - interval '20 minutes'"
YESTERDAY = "update sync_journal set received_at = now() - interval '25 hours'"
BACKFILL = """
    insert into sync_journal (clerk_id, source, outcome)
    select 'user_' || n, 'backfill', 'created' from generate_series(1, 20000) as n"""
AFTER = timedelta(minutes=15)


@pytest.fixture
async def service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url) as service:
        yield service


async def person(clerk: ClerkEmulator, service: Service) -> str:
    """A new user who makes a request before the webhook arrives."""
    user = clerk.create_user(email_address=[f"{len(clerk.users)}@example.com"])
    user_id: str = user["id"]
    assert (await service.me(clerk.session_token(user_id))).status_code == 200
    return user_id


async def announced(clerk: ClerkEmulator, service: Service, user_id: str, kind: str) -> None:
    """Deliver the webhook after all."""
    event = {
        "data": clerk.get_user(user_id),
        "instance_id": clerk.config.instance_id,
        "object": "event",
        "timestamp": clerk.clock(),
        "type": kind,
    }
    assert (await service.deliver(event)).status_code == 204


async def signal(service: Service) -> tuple[float, list[str]]:
    """The metric, and what `/readyz` calls degraded."""
    return await service.metric("webhook_silence_users"), await service.degraded()


async def test_a_webhook_may_take_its_time(clerk: ClerkEmulator, service: Service) -> None:
    await person(clerk, service)
    assert await signal(service) == (0, [])


async def test_users_whose_webhook_never_came_are_counted_and_degrade(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    for _ in range(2):
        await person(clerk, service)
    await sql.execute(LONG_AGO)
    assert await signal(service) == (2, ["webhooks"])


async def test_silence_does_not_make_a_replica_unready(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    await person(clerk, service)
    await sql.execute(LONG_AGO)
    readiness = (await service.http.get("/readyz")).json()
    assert readiness["checks"]["store"] is True
    assert readiness["degraded"] == ["webhooks"]


async def test_the_time_is_a_setting(clerk: ClerkEmulator, store_url: str, sql: Sql) -> None:
    async with running_service(clerk, store_url, silence_after=3600) as service:
        await person(clerk, service)
        await sql.execute(LONG_AGO)
        assert await signal(service) == (0, [])


async def test_it_ends_when_the_webhook_comes(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    late = await person(clerk, service)
    await sql.execute(LONG_AGO)
    await announced(clerk, service, late, "user.created")
    assert await signal(service) == (0, [])


@pytest.mark.parametrize("kind", ["user.created", "user.updated", "user.deleted"])
async def test_it_ends_when_webhooks_flow_again_about_whomever(
    clerk: ClerkEmulator, service: Service, sql: Sql, kind: str
) -> None:
    for _ in range(3):
        await person(clerk, service)
    await sql.execute(LONG_AGO)
    assert await signal(service) == (3, ["webhooks"])
    other = clerk.create_user(email_address=["other@example.com"])["id"]
    await announced(clerk, service, other, kind)
    assert await signal(service) == (0, [])


async def test_silence_after_a_webhook_counts_again(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    before = await person(clerk, service)
    await announced(clerk, service, before, "user.updated")
    await person(clerk, service)
    await sql.execute(LONG_AGO)
    assert await signal(service) == (1, ["webhooks"])


async def test_a_backfill_is_no_webhook(clerk: ClerkEmulator, service: Service, sql: Sql) -> None:
    await person(clerk, service)
    await sql.execute(LONG_AGO)
    await sql.execute(BACKFILL)
    assert (await signal(service))[0] == 1
    other = clerk.create_user(email_address=["other@example.com"])["id"]
    await announced(clerk, service, other, "user.created")
    assert await signal(service) == (0, [])


async def test_a_quarantined_announcement_has_come_all_the_same(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    user_id = await person(clerk, service)
    poison = {"type": "user.created", "data": {"id": user_id, "updated_at": "soon"}}
    assert (await service.deliver(poison)).status_code == 202
    await sql.execute(LONG_AGO)
    assert await signal(service) == (0, [])


async def test_users_who_signed_up_before_the_endpoint_existed_do_not_count(
    service: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    await person(clerk, service)
    await sql.execute(LONG_AGO)
    await sql.execute("update users set clerk_created_at = now() - interval '2 days'")
    assert await signal(service) == (0, [])


@pytest.mark.parametrize("earlier", [[], ["user.updated"]], ids=["never", "no longer"])
async def test_it_does_not_end_by_itself(
    clerk: ClerkEmulator, service: Service, sql: Sql, earlier: list[str]
) -> None:
    """Whether webhooks never came, or came and stopped."""
    other = clerk.create_user(email_address=["other@example.com"])["id"]
    for kind in earlier:
        await announced(clerk, service, other, kind)
    await person(clerk, service)
    await sql.execute(YESTERDAY)
    assert await signal(service) == (1, ["webhooks"])
    await announced(clerk, service, other, "user.created")
    assert await signal(service) == (0, [])


async def test_a_silence_whose_end_a_backfill_has_hidden_is_forgotten_after_a_day(
    service: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    await person(clerk, service)
    other = clerk.create_user(email_address=["other@example.com"])["id"]
    await announced(clerk, service, other, "user.created")
    await sql.execute(BACKFILL)
    await sql.execute(YESTERDAY)
    assert await signal(service) == (0, [])


async def test_a_replay_is_not_the_webhook(
    clerk: ClerkEmulator, service: Service, sql: Sql
) -> None:
    user_id = await person(clerk, service)
    await sql.execute(LONG_AGO)
    await sql.execute(
        "insert into sync_journal (svix_id, event_type, clerk_id, source, outcome) "
        "values ('msg_file', 'user.created', $1, 'replay', 'unchanged')",
        user_id,
    )
    assert (await signal(service))[0] == 1


async def test_the_last_delivery_is_the_last_webhook(database: Database, sql: Sql) -> None:
    watch = PostgresJournal(database)
    assert await watch.last_delivery_at() is None
    await happened(database, "user.created")
    await sql.execute("update sync_journal set received_at = now() - interval '1 hour'")
    await sql.execute(
        "insert into sync_journal (clerk_id, source, outcome) values ($1, 'jit', 'created')", ADA
    )
    last_at = await watch.last_delivery_at()
    assert last_at is not None
    # By this host's clock, whatever the store's says.
    ago = datetime.now(UTC) - last_at
    assert timedelta(hours=1) <= ago < timedelta(hours=1, minutes=5)


async def test_the_statement_is_answered_from_the_index(database: Database, sql: Sql) -> None:
    """A hundred thousand webhooks do not slow down a scrape."""
    await sql.execute(
        "insert into sync_journal (svix_id, event_type, clerk_id, source, outcome, body) "
        "select 'msg_' || n, 'user.updated', 'user_' || n, 'webhook', 'updated', $1 "
        "from generate_series(1, 20000) as n",
        webhook_bytes("user.created")[:10],
    )
    await sql.execute("analyze sync_journal")
    from adapters.postgres.journal_statements import SILENT_USERS
    from adapters.postgres.session import qualified

    plan = await sql.fetch(f"explain {qualified(SILENT_USERS, None)}", AFTER)
    assert "Seq Scan on sync_journal" not in "\n".join(row[0] for row in plan)
