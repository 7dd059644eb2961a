"""Readiness: its conditions, degradations, and recovery."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.address import with_database
from adapters.postgres.migrate import migrate
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.readiness import Readiness
from service.services import services_of
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.e2e.processes import eventually
from tests.people import new_id
from tests.postgres_server import temporary_database
from tests.running import Service, problem, running_service
from tests.simulation.virtual_time import in_virtual_time

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nowhere"
ALL_WELL = {"store": True, "schema": True, "signing_keys": True, "not_draining": True}
NO_KEYS = ApiFault(kind=FaultKind.ERROR, status=503, on="jwks")
REFUSED_KEY = ApiFault(kind=FaultKind.ERROR, status=401)


async def readiness(service: Service) -> tuple[int, dict[str, Any]]:
    answer = await service.http.get("/readyz")
    return answer.status_code, answer.json()


async def is_ready(service: Service) -> bool:
    return (await readiness(service))[0] == 200


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    """A database without a schema."""
    async with temporary_database(postgres_url, f"empty_{uuid4().hex}") as url:
        yield url


async def test_all_is_well(own_service: Service) -> None:
    await eventually(lambda: is_ready(own_service))
    assert await readiness(own_service) == (
        200,
        {"status": "ready", "checks": ALL_WELL, "degraded": [], "see": []},
    )
    answer = await own_service.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_without_its_store_it_starts_and_lives_but_is_not_ready(
    clerk: ClerkEmulator,
) -> None:
    async with running_service(clerk, NOWHERE) as service:
        await eventually(lambda: keys_are_loaded(service))
        assert await readiness(service) == (
            503,
            {
                "status": "not_ready",
                "checks": ALL_WELL | {"store": False, "schema": False},
                "degraded": [],
                "see": ["docs/operating/store-failed-over.md"],
            },
        )
        assert (await service.http.get("/healthz")).status_code == 200
        assert (await service.session(clerk.session_token(ADA))).status_code == 200


async def keys_are_loaded(service: Service) -> bool:
    return bool((await readiness(service))[1]["checks"]["signing_keys"])


@asynccontextmanager
async def silent_store() -> AsyncIterator[str]:
    """The address of a server that accepts connections and never answers."""
    ended = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://u:p@127.0.0.1:{port}/db"
    ended.set()
    server.close()


async def test_a_store_that_says_nothing_is_not_ready(clerk: ClerkEmulator) -> None:
    async with silent_store() as url, running_service(clerk, url) as service:
        assert (await readiness(service))[0] == 503


@in_virtual_time
async def test_a_dead_store_is_noticed_within_the_second() -> None:
    async def says_nothing() -> Any:
        return await asyncio.Event().wait()

    looking = Readiness(
        schema=says_nothing,
        keys_loaded=lambda: True,
        clerk_answers=lambda: True,
        silent_users=says_nothing,
        went_back=says_nothing,
    )
    began = asyncio.get_running_loop().time()
    assert (await looking.report()).as_document()["checks"] == ALL_WELL | {
        "store": False,
        "schema": False,
    }
    assert asyncio.get_running_loop().time() - began == pytest.approx(1)


async def reaches_the_store(service: Service) -> bool:
    return (await readiness(service))[1]["checks"]["store"] is True


async def test_it_becomes_ready_when_the_store_does(
    clerk: ClerkEmulator, postgres_url: str
) -> None:
    name = f"later_{uuid4().hex}"
    async with running_service(clerk, with_database(postgres_url, name)) as service:
        assert (await readiness(service))[1]["checks"]["store"] is False
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 503
        async with temporary_database(postgres_url, name) as url:
            await eventually(lambda: reaches_the_store(service))
            assert (await readiness(service))[1]["checks"]["schema"] is False
            await migrate(url)
            await eventually(lambda: is_ready(service))
            assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204


async def test_a_schema_that_is_behind_is_not_ready(clerk: ClerkEmulator, empty_url: str) -> None:
    async with running_service(clerk, empty_url) as service:
        await eventually(lambda: keys_are_loaded(service))
        status, report = await readiness(service)
        assert (status, report["checks"]) == (503, ALL_WELL | {"schema": False})


async def test_a_schema_of_another_revision_is_not_ready(
    clerk: ClerkEmulator, empty_url: str
) -> None:
    await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("update clerk_user_sync_version set version_num = 'older'")
    await connection.close()
    async with running_service(clerk, empty_url) as service:
        assert (await readiness(service))[1]["checks"]["schema"] is False


async def test_a_newer_releases_schema_is_ready_and_named(
    clerk: ClerkEmulator, empty_url: str
) -> None:
    """After a rollback, or while two releases run side by side."""
    await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("update clerk_user_sync_version set version_num = '9001'")
    await connection.close()
    async with running_service(clerk, empty_url, migrate_on_start=True) as service:
        await eventually(lambda: is_ready(service))
        report = (await readiness(service))[1]
        assert (report["checks"], report["degraded"]) == (ALL_WELL, ["schema_ahead"])
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204


async def test_a_hosts_table_in_the_way_is_logged_by_its_name_with_growing_pauses(
    clerk: ClerkEmulator, empty_url: str
) -> None:
    connection = await asyncpg.connect(empty_url)
    await connection.execute("create table users (id bigint)")
    log = StringIO()
    async with running_service(clerk, empty_url, log=log, migrate_on_start=True) as service:
        await eventually(lambda: "DATABASE_SCHEMA" in log.getvalue())
        assert (await readiness(service))[0] == 503
    await connection.close()
    lines = [line for line in log.getvalue().splitlines() if "job_failed" in line]
    assert len(lines) == 1
    assert "a table with the name of ours: users: set DATABASE_SCHEMA" in lines[0]


async def test_an_empty_database_is_brought_to_head_when_asked_for(
    clerk: ClerkEmulator, empty_url: str
) -> None:
    async with running_service(clerk, empty_url, migrate_on_start=True) as service:
        await eventually(lambda: is_ready(service))
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204


async def test_a_database_that_comes_later_is_brought_to_head_too(
    clerk: ClerkEmulator, postgres_url: str
) -> None:
    name = f"later_{uuid4().hex}"
    address = with_database(postgres_url, name)
    async with running_service(clerk, address, migrate_on_start=True) as service:
        assert not await is_ready(service)
        async with temporary_database(postgres_url, name):
            await eventually(lambda: is_ready(service))


async def test_two_may_bring_it_to_head_at_once(clerk: ClerkEmulator, empty_url: str) -> None:
    async with (
        running_service(clerk, empty_url, migrate_on_start=True) as one,
        running_service(clerk, empty_url, migrate_on_start=True) as two,
    ):
        await eventually(lambda: is_ready(one))
        await eventually(lambda: is_ready(two))


async def test_without_signing_keys_it_is_alive_not_ready_and_takes_webhooks(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.faults.add(NO_KEYS)
    async with running_service(clerk, store_url) as service:
        status, report = await readiness(service)
        assert (status, report["checks"]) == (503, ALL_WELL | {"signing_keys": False})
        assert (await service.http.get("/healthz")).status_code == 200
        for path in ("/v1/me", "/v1/session"):
            headers = {"Authorization": f"Bearer {clerk.session_token(ADA)}"}
            answer = await service.http.get(path, headers=headers)
            assert answer.json() == problem(503, "signing_keys_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204
        assert (await service.me("nonsense")).status_code == 401


async def test_it_becomes_ready_when_the_keys_are_there(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.faults.add(NO_KEYS)
    async with running_service(clerk, store_url) as service:
        assert not await is_ready(service)
        clerk.faults.clear()
        await eventually(lambda: is_ready(service))
        assert (await service.session(clerk.session_token(ADA))).status_code == 200


async def test_keys_once_loaded_outlive_their_source(
    own_service: Service, clerk: ClerkEmulator
) -> None:
    await eventually(lambda: is_ready(own_service))
    clerk.faults.add(NO_KEYS)
    assert (await own_service.session(clerk.session_token(ADA))).status_code == 200
    assert await is_ready(own_service)


async def test_with_a_pinned_key_it_is_ready_at_once_without_a_call(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.faults.add(NO_KEYS)
    key = clerk.keys.public_pem()
    async with running_service(clerk, store_url, clerk_jwt_key=key) as service:
        assert await is_ready(service)
        assert (await service.session(clerk.session_token(ADA))).status_code == 200
    assert clerk.calls.count() == 0


async def test_clerk_being_down_only_degrades(own_service: Service, clerk: ClerkEmulator) -> None:
    await eventually(lambda: is_ready(own_service))
    await own_service.deliver(webhook_bytes("user.created"))
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
    clerk.faults.add(REFUSED_KEY)
    assert (await own_service.me(clerk.session_token(person["id"]))).status_code == 503
    assert await readiness(own_service) == (
        200,
        {
            "status": "ready",
            "checks": ALL_WELL,
            "degraded": ["clerk"],
            "see": ["docs/operating/clerk-is-down.md"],
        },
    )
    assert (await own_service.me(clerk.session_token(ADA))).status_code == 200


async def test_while_draining_it_is_not_ready_and_still_serves(
    own_service: Service, clerk: ClerkEmulator
) -> None:
    await eventually(lambda: is_ready(own_service))
    services_of(own_service.app).readiness.drain()
    status, report = await readiness(own_service)
    assert (status, report["checks"]) == (503, ALL_WELL | {"not_draining": False})
    assert (await own_service.http.get("/healthz")).status_code == 200
    assert (await own_service.deliver(webhook_bytes("user.created"))).status_code == 204
    assert (await own_service.me(clerk.session_token(ADA))).status_code == 200
