"""The store belongs to one Clerk instance: it is learnt, pinned, and never mixed with another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from domain.drift import Findings
from domain.errors import StoreOfAnotherInstance, WrongInstance
from domain.instance import PIN
from domain.reconcile import ReconcileOptions
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.bootstrap.work import working
from service.changes import Changes
from service.log import line_logger
from service.metrics import Metrics
from service.services import Services, reconcile_of, services_of
from tests.adapters.clerk.payloads import MISSING, envelope
from tests.commands.commands import Operator
from tests.postgres_server import Sql
from tests.running import Service, running_service, settings_for

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""Both instances post to the same endpoint."""


def config_of(instance_id: str) -> EmulatorConfig:
    return EmulatorConfig(rate_limit=None, instance_id=instance_id, webhook_secrets=(SECRET,))


@pytest.fixture
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    async with running_emulator(config_of("ins_ours"), signing_key=signing_key) as emulator:
        yield emulator


@pytest.fixture
async def other_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    async with running_emulator(config_of("ins_theirs"), signing_key=signing_key) as emulator:
        yield emulator


@asynccontextmanager
async def service_of(
    clerk: ClerkEmulator, store_url: str, clerk_instance_id: str | None = None, **settings: Any
) -> AsyncIterator[Service]:
    """It is told no instance, unless `clerk_instance_id` is given."""
    given = {"clerk_rate_limit": 10_000, "clerk_instance_id": clerk_instance_id, **settings}
    async with running_service(clerk, store_url, **given) as service:
        yield service


async def becomes(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        await asyncio.sleep(0.01)


async def knows_its_instance(service: Service) -> Services:
    services = services_of(service.app)
    instance = services.clerk.instance
    await becomes(lambda: instance.id is not None or instance.contradiction is not None)
    return services


async def pin(sql: Sql) -> str | None:
    pinned: str | None = await sql.fetchval(
        "select cursor from sync_checkpoints where name = $1", PIN
    )
    return pinned


async def is_pinned(sql: Sql, instance_id: str) -> None:
    async with asyncio.timeout(20):
        while await pin(sql) is None:
            await asyncio.sleep(0.01)
    assert await pin(sql) == instance_id


async def users(sql: Sql) -> int:
    count: int = await sql.fetchval("select count(*) from users")
    return count


def created(instance_id: Any) -> dict[str, Any]:
    event = envelope("user.created", instance_id=instance_id)
    event["data"]["id"] = f"user_{uuid4().hex}"
    return event


async def test_the_instance_is_learnt_from_the_secret_key_and_others_are_not_applied(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with service_of(clerk, store_url) as service:
        await is_pinned(sql, "ins_ours")
        assert (await service.deliver(created("ins_ours"))).status_code == 204
        assert (await service.deliver(created("ins_theirs"))).status_code == 204
        assert (await service.deliver(created(MISSING))).status_code == 202
    assert await users(sql) == 1


async def test_the_pin_outlives_the_process_and_needs_no_clerk(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with service_of(clerk, store_url):
        await is_pinned(sql, "ins_ours")
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, on="all", status=500))
    async with service_of(clerk, store_url) as service:
        await knows_its_instance(service)
        await service.deliver(created("ins_theirs"))
        assert (await service.http.get("/readyz")).json()["checks"].keys() >= {"store", "schema"}
    assert await users(sql) == 0


async def test_two_replicas_that_start_at_once_pin_one(
    clerk: ClerkEmulator, other_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with (
        service_of(clerk, store_url) as ours,
        service_of(other_clerk, store_url) as theirs,
    ):
        both = [await knows_its_instance(ours), await knows_its_instance(theirs)]
        await becomes(lambda: sum(one.clerk.instance.contradiction is None for one in both) == 1)
    assert await pin(sql) in {"ins_ours", "ins_theirs"}


@pytest.mark.parametrize("given", [None, "ins_theirs"])
async def test_the_settings_of_another_instance_write_nothing(
    clerk: ClerkEmulator, other_clerk: ClerkEmulator, store_url: str, sql: Sql, given: str | None
) -> None:
    """As when the settings are filled in after playing with the emulator."""
    async with service_of(clerk, store_url) as service:
        await is_pinned(sql, "ins_ours")
        await service.deliver(created("ins_ours"))
    stranger = other_clerk.create_user(email_address=["ada@example.com"])["id"]
    async with service_of(other_clerk, store_url, given) as service:
        services = await knows_its_instance(service)
        await becomes(lambda: services.clerk.instance.contradiction is not None)
        ready = await service.http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["rows"]) == (503, False)
        # No event is lost, not even an unreadable one: all come again.
        for event in (created("ins_ours"), created("ins_theirs"), {"type": "user.created"}):
            answer = await service.deliver(event)
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert (await service.me(other_clerk.session_token(stranger))).status_code == 503
        reconcile = reconcile_of(services.store, services.clerk)
        with pytest.raises(WrongInstance):
            await reconcile.full(ReconcileOptions(repair=True), Findings())
    assert await users(sql) == 1
    assert await sql.fetchval("select count(*) from users where deleted_at is not null") == 0
    assert await sql.fetchval("select count(*) from sync_journal") == 1


async def test_a_command_of_another_instance_is_refused_and_doctor_says_why(
    clerk: ClerkEmulator, other_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with service_of(clerk, store_url) as service:
        await is_pinned(sql, "ins_ours")
        await service.deliver(created("ins_ours"))
    told = {**other_clerk.config.environment(), "DATABASE_URL": store_url, "CLERK_RATE_LIMIT": "99"}
    named, unnamed = Operator(told), Operator({**told, "CLERK_INSTANCE_ID": None})
    causes = [
        (named, "the rows are of ins_ours, and CLERK_INSTANCE_ID is ins_theirs"),
        (unnamed, "CLERK_SECRET_KEY is of ins_theirs, not of ins_ours"),
    ]
    for operator, cause in causes:
        for command in (["backfill"], ["reconcile", "--full", "--repair"]):
            ended = await operator.run(*command)
            said = f"The Clerk instance is not the one of our rows: {cause}\n"
            assert (ended.code, ended.err) == (77, said)
    found = {one["about"]: one for one in (await named.run("doctor", "--json")).records}
    assert (found["rows"]["state"], "ins_ours" in found["rows"]["words"]) == ("bad", True)
    found = {one["about"]: one for one in (await unnamed.run("doctor", "--json")).records}
    assert (found["instance"]["state"], "ins_ours" in found["instance"]["words"]) == ("bad", True)
    assert await users(sql) == 1


DELIVERED = """
select position = (select count(*) from user_changes)
    and not exists (select from user_changes_set_aside)
from user_change_subscriptions where name = 'clerk-write-back'
"""


async def test_no_user_of_ours_is_passed_over_because_another_instance_has_none(
    clerk: ClerkEmulator, other_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with service_of(clerk, store_url) as service:
        await is_pinned(sql, "ins_ours")
        people = [
            clerk.create_user(email_address=[f"{name}@example.com"])["id"]
            for name in ("ada", "grace")
        ]
        for one in people:
            assert (await service.me(clerk.session_token(one))).status_code == 200
    async with service_of(other_clerk, store_url, changes_write_back="external_id"):
        await becomes(lambda: other_clerk.calls.count("GetUser") > 1)
    ada, grace = people
    clerk.delete_user(grace)
    async with service_of(clerk, store_url, changes_write_back="external_id"):
        await becomes(lambda: clerk.get_user(ada)["external_id"] is not None)
        async with asyncio.timeout(20):
            while not await sql.fetchval(DELIVERED):
                await asyncio.sleep(0.05)


async def test_a_worker_that_writes_to_another_instance_is_not_ready(
    other_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    await sql.execute("insert into sync_checkpoints values ($1, 'ins_ours')", PIN)
    given = {"clerk_instance_id": None, "changes_write_back": "external_id"}
    settings = settings_for(other_clerk, store_url, **given)
    log = line_logger("error", "json", StringIO())
    async with working(settings, Changes(), Metrics(), log) as worker, asyncio.timeout(20):
        while (await worker.readiness.report()).as_document()["checks"].get("rows") is not False:
            await asyncio.sleep(0.05)


async def test_the_pin_can_be_taken_away_and_the_service_goes_on_without_a_restart(
    clerk: ClerkEmulator, other_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    await sql.execute("insert into sync_checkpoints values ($1, 'ins_theirs')", PIN)
    async with service_of(clerk, store_url, "ins_ours") as service:
        services = await knows_its_instance(service)
        await becomes(lambda: services.clerk.instance.contradiction is not None)
        with pytest.raises(StoreOfAnotherInstance):
            await services.store.users.sync_many([])
        await sql.execute("delete from sync_checkpoints where name = $1", PIN)
        await becomes(lambda: services.clerk.instance.contradiction is None)
        assert (await service.deliver(created("ins_ours"))).status_code == 204
    await is_pinned(sql, "ins_ours")


async def test_rows_of_which_clerk_knows_none_prove_nothing_and_pin_nothing(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    """They may all be deleted there. The service is ready as before, and doctor says so."""
    await sql.execute(
        "insert into users (clerk_id, clerk_updated_at, observed_at, digest, synced_by) "
        "values ('user_1', now(), now(), '\\x00', 'webhook')"
    )
    async with service_of(clerk, store_url) as service:
        await becomes(lambda: clerk.calls.count() > 0)
        assert (await service.deliver(created("ins_ours"))).status_code == 204
        assert services_of(service.app).clerk.instance.contradiction is None
    assert await pin(sql) is None
