"""Each page of docs/operating/: its failure is caused, and its commands are run."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import FastAPI

from adapters.postgres.database import Database
from domain import health
from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import (
    ApiFault,
    ClerkEmulator,
    DeliveryStatus,
    EmulatorConfig,
    Endpoint,
    FaultKind,
    running_emulator,
)
from service.app import create_app, user_sync
from service.changes import Changes
from service.log_writer import LogWriter
from tests.commands.arrivals import quarantined
from tests.docs.runbooks import OPERATING, Runbook
from tests.e2e.processes import eventually
from tests.running import bearer, settings_for
from tests.service.listening import listening

Sql: TypeAlias = "asyncpg.Connection[Any]"

BACKEND_API_DOWN = ApiFault(kind=FaultKind.ERROR, status=503)
KEY_REFUSED = ApiFault(kind=FaultKind.ERROR, status=401)
NEW_SECRET = "whsec_bmV3IHNlY3JldCBvZiB0aGUgZW5kcG9pbnQsIHJvdGF0ZWQ="
UNUSED_PORT = 1


@dataclass(frozen=True)
class Scene:
    """A Clerk instance, and the service that its webhooks go to."""

    clerk: ClerkEmulator
    store: str
    directory: Path
    port: int

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def webhooks(self) -> str:
        return f"{self.service}/webhooks/clerk"

    def runbook(self, name: str, **settings: str) -> Runbook:
        environment = {
            **self.clerk.config.environment(),
            "CLERK_INSTANCE_ID": self.clerk.config.instance_id,
            "DATABASE_URL": self.store,
            "SERVICE": self.service,
            "METRICS": self.service,
            **settings,
        }
        return Runbook(name, environment, self.directory)

    async def known(self, **fields: Any) -> str:
        """The id of a new user whose webhook has arrived."""
        user_id = self.signed_up(**fields)
        await self.clerk.sender.settled()
        return user_id

    def signed_up(self, **fields: Any) -> str:
        address = f"person{len(self.clerk.users)}@example.com"
        return str(self.clerk.create_user(**{"email_address": [address], **fields})["id"])

    async def me(self, user_id: str) -> int:
        """The status of that user's request."""
        async with httpx.AsyncClient() as http:
            token = self.clerk.session_token(user_id)
            return (await http.get(f"{self.service}/v1/me", headers=bearer(token))).status_code

    def webhooks_come(self, *, they_come: bool) -> None:
        self.clerk.sender.enable(self.webhooks, enabled=they_come)


@pytest.fixture
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, time_scale=0.001)
    async with running_emulator(config, signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
async def scene(clerk: ClerkEmulator, store_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with serving(clerk, store_url, tmp_path) as scene:
        yield scene


@asynccontextmanager
async def serving(
    clerk: ClerkEmulator, store_url: str, directory: Path, **overrides: Any
) -> AsyncIterator[Scene]:
    settings = settings_for(
        clerk,
        store_url,
        **{"clerk_instance_id": clerk.config.instance_id, "silence_after": 0.1, **overrides},
    )
    lines = LogWriter(StringIO(), str)
    async with listening(create_app(settings, lines), settings) as at:
        scene = Scene(clerk, store_url, directory, at.port)
        clerk.sender.add_endpoint(
            Endpoint(url=scene.webhooks, secrets=clerk.config.webhook_secrets)
        )
        yield scene
        clerk.sender.endpoints.clear()
    lines.close()


def all_was_run(page: Runbook) -> None:
    assert page.blocks == [], f"{page.name}: blocks that no test has run"


async def test_webhooks_do_not_arrive(scene: Scene) -> None:
    page = scene.runbook("webhooks-do-not-arrive", SILENCE_AFTER="0.1")
    scene.webhooks_come(they_come=False)
    somebody = scene.signed_up()
    assert await scene.me(somebody) == 200
    await asyncio.sleep(0.2)
    await page.next()  # doctor says so
    await page.next()  # webhooks arrive again
    scene.webhooks_come(they_come=True)
    await page.next()  # repaired
    scene.clerk.sender.replay(DeliveryStatus.MISSING)
    await scene.clerk.sender.settled()
    await page.next()
    all_was_run(page)


async def test_the_endpoint_is_disabled(scene: Scene, sql: Sql) -> None:
    page = scene.runbook("endpoint-disabled")
    leaves = await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.delete_user(leaves)
    comes = scene.signed_up()
    scene.webhooks_come(they_come=True)
    await page.next()
    assert await sql.fetchval("select deleted_at from users where clerk_id = $1", leaves)
    assert await sql.fetchval("select count(*) from users where clerk_id = $1", comes) == 1
    assert "webhook_last_delivery_timestamp_seconds 1" in await page.next()
    all_was_run(page)


async def test_the_service_is_down(scene: Scene, clerk: ClerkEmulator, tmp_path: Path) -> None:
    nowhere = f"postgresql://u:p@127.0.0.1:{UNUSED_PORT}/nowhere"
    async with serving(clerk, nowhere, tmp_path) as broken:
        page = broken.runbook("service-is-down")
        said = await page.next()
        assert "alive: 200" in said
        assert '"store":false' in said
        assert "ready: 503" in said
        await page.next()
    page.environment = scene.runbook(page.name).environment
    await eventually_ready(scene)
    await page.next()
    all_was_run(page)


async def eventually_ready(scene: Scene) -> None:
    await eventually(lambda: shows(scene, '"status":"ready"', "/readyz"))


async def shows(scene: Scene, pattern: str, path: str = "/metrics") -> bool:
    async with httpx.AsyncClient() as http:
        return re.search(pattern, (await http.get(f"{scene.service}{path}")).text) is not None


async def test_the_store_failed_over(scene: Scene, sql: Sql) -> None:
    page = scene.runbook("store-failed-over")
    lost = await scene.known()
    await eventually_ready(scene)
    away = urlsplit(scene.store)._replace(netloc=f"u:p@127.0.0.1:{UNUSED_PORT}").geturl()
    await page.next(DATABASE_URL=away)
    # The new primary lacks the last second of the old one.
    await sql.execute("delete from sync_journal")
    await sql.execute("delete from users where clerk_id = $1", lost)
    await page.next()
    await page.next()
    assert await sql.fetchval("select count(*) from users where clerk_id = $1", lost) == 1
    all_was_run(page)


async def test_clerk_is_down(scene: Scene) -> None:
    page = scene.runbook("clerk-is-down")
    known = await scene.known()
    assert await scene.me(known) == 200
    scene.webhooks_come(they_come=False)
    new = scene.signed_up()
    scene.clerk.faults.add(BACKEND_API_DOWN)
    assert await scene.me(new) == 503
    assert await scene.me(known) == 200
    await page.next()
    await page.next()
    scene.clerk.faults.clear()
    await page.next()
    all_was_run(page)


async def test_secrets_and_keys_are_rotated(
    clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    async with serving(clerk, store_url, tmp_path) as before:
        page = before.runbook("rotating-secrets-and-keys")
        rotated = Endpoint(url=before.webhooks, secrets=(NEW_SECRET,))
        clerk.sender.endpoints[:] = [rotated]
        user_id = before.signed_up()
        await eventually(lambda: shows(before, r'code="signature_invalid"} [1-9]'))
        assert "deliveries_total{" not in await page.next()
        clerk.faults.add(KEY_REFUSED)
        await page.next()
        clerk.faults.clear()
        await page.next()
    both = (NEW_SECRET, *clerk.config.webhook_secrets)
    async with serving(clerk, store_url, tmp_path, clerk_webhook_signing_secret=both) as after:
        clerk.sender.endpoints[:] = [Endpoint(url=after.webhooks, secrets=(NEW_SECRET,))]
        after.signed_up()
        await eventually(lambda: shows(after, r'deliveries_total\{outcome="created"'))
        page.environment = after.runbook(page.name).environment
        await page.next()
        assert await after.me(user_id) == 200
    all_was_run(page)


async def test_the_quarantine_fills(scene: Scene, database: Database, sql: Sql) -> None:
    user_id = await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.update_user(user_id, first_name="Ada")
    # The release of that day could not read what this one can.
    body = scene.clerk.deliveries(user_id)[-1].body
    await quarantined(database, body, clerk_id=user_id)
    page = scene.runbook("quarantine-fills")
    await page.next()
    await page.next()
    await page.next()
    await page.next()
    assert await sql.fetchval("select first_name from users") == "Ada"
    all_was_run(page)


async def test_drift_is_found(scene: Scene, sql: Sql) -> None:
    page = scene.runbook("drift-found")
    missing, gone = await scene.known(), await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.delete_user(gone)
    await sql.execute("delete from users where clerk_id = $1", missing)
    await page.next()
    await page.next()
    await page.next()
    await page.next()
    all_was_run(page)


async def test_reconcile_is_overdue(clerk: ClerkEmulator, store_url: str, tmp_path: Path) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401, on="GetUserList"))
    async with serving(clerk, store_url, tmp_path, reconcile_every=1) as scene:
        await eventually(lambda: shows(scene, r'failures_total\{name="reconcile"'))
        page = scene.runbook("reconcile-is-overdue")
        await page.next()
        clerk.faults.clear()
        await page.next()
        await eventually(lambda: shows(scene, r'"degraded":\[\]', "/readyz"))
        assert '"degraded":[]' in await page.next()
    all_was_run(page)


async def test_deliveries_come_late(scene: Scene) -> None:
    await scene.known()
    page = scene.runbook("deliveries-come-late")
    await page.next()
    await page.next()
    all_was_run(page)


async def test_log_lines_are_dropped(scene: Scene) -> None:
    page = scene.runbook("log-lines-are-dropped")
    await page.next()
    all_was_run(page)


async def test_a_user_cannot_get_in(scene: Scene) -> None:
    user_id = await scene.known(email_address=["ada@example.com"])
    scene.clerk.ban_user(user_id)
    await scene.clerk.sender.settled()
    assert await scene.me(user_id) == 403
    page = scene.runbook("user-cannot-get-in", SOMEBODY="ada@example.com")
    await page.next()
    scene.webhooks_come(they_come=False)
    scene.clerk.unban_user(user_id)
    await page.next()
    await page.next()
    assert await scene.me(user_id) == 200
    all_was_run(page)


async def test_a_user_asks_to_be_forgotten(scene: Scene, sql: Sql) -> None:
    changes = Changes()
    purged: list[str] = []

    @changes.on("deleted", name="files", begin="oldest")
    async def purge(change: Change, user: LocalUser | None) -> None:
        purged.append(change.clerk_id)

    user_id = await scene.known(email_address=["ada@example.com"])
    page = scene.runbook("forget-a-user", SOMEBODY="ada@example.com", USER_ID=user_id)
    assert user_id in await page.next()
    scene.webhooks_come(they_come=False)
    scene.clerk.delete_user(user_id)
    async with user_sync(FastAPI(), settings_for(scene.clerk, scene.store), changes=changes):
        await page.next()
        await page.next()
        await eventually(lambda: purged == [user_id])
    await page.next()
    assert await sql.fetchval("select count(*) from users where email is not null") == 0
    assert await sql.fetchval("select count(*) from sync_journal where body is not null") == 0
    all_was_run(page)


async def test_upgrading(scene: Scene) -> None:
    page = scene.runbook("upgrading")
    await page.next()
    await eventually_ready(scene)
    await page.next()
    all_was_run(page)


async def test_restored_from_a_backup(scene: Scene, sql: Sql) -> None:
    leaves, lost = await scene.known(), await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.delete_user(leaves)  # the backup is older, and has that user
    await sql.execute("delete from users where clerk_id = $1", lost)  # and this one signed up since
    page = scene.runbook("restored-from-a-backup")
    await page.next()
    await page.next()
    all_was_run(page)


async def test_scaling_out(scene: Scene) -> None:
    await scene.known()
    page = scene.runbook("scaling-out")

    await eventually(lambda: shows(scene, "event_loop_lag_seconds_count [1-9]"))
    await page.next()
    all_was_run(page)


async def test_a_subscription_is_stuck(scene: Scene) -> None:
    changes = Changes()
    is_mended = False
    mails: list[str] = []

    @changes.on(name="welcome-mail", begin="oldest", pauses=())
    async def welcome(change: Change, user: LocalUser | None) -> None:
        if not is_mended:
            raise RuntimeError
        mails.append(change.clerk_id)

    user_id = await scene.known()
    async with user_sync(FastAPI(), settings_for(scene.clerk, scene.store), changes=changes):
        await eventually(lambda: shows(scene, r'state="parked",subscription="welcome-mail"} 1'))
        page = scene.runbook("a-subscription-is-stuck")
        await page.next()
        await page.next()
        is_mended = True
        await page.next()
        await eventually(lambda: mails == [user_id])
        await eventually(lambda: shows(scene, r'state="parked",subscription="welcome-mail"} 0'))
        await page.next()
    all_was_run(page)


def pages() -> Iterator[str]:
    return (path.stem for path in OPERATING.glob("*.md") if path.stem != "index")


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_page_says_what_a_stranger_needs(name: str) -> None:
    text = (OPERATING / f"{name}.md").read_text()
    for heading in ("What you see", "How bad it is", "What to do", "It is over when"):
        assert f"\n## {heading}\n" in text, f"{name} lacks: {heading}"
    assert f"({name}.md)" in (OPERATING / "index.md").read_text()
    assert f'"{name}"' in Path(__file__).read_text(), f"no test runs the commands of {name}"


def test_what_is_not_well_has_a_page() -> None:
    assert {f"docs/operating/{name}.md" for name in pages()} >= {
        finding.see
        for finding in (
            health.store("away"),
            health.signing_keys(loaded=False),
            health.clerk("away"),
            health.jobs(frozenset({"retention"})),
            health.last_delivery(None, datetime.now(UTC)),
            health.webhooks(1),
            health.quarantine(1),
        )
    }
