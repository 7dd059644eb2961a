"""Given the name of an alert alone: its page is found, its commands are run, and the alert ends.

Each failure is caused for real, a real Prometheus raises the alert, and sees its end. What the
commands print is held to the page in `test_runbooks.py`.
"""

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from adapters.postgres.database import Database
from scripts.clerk_emulator import ApiFault, ClerkEmulator, DeliveryStatus, Endpoint, FaultKind
from tests.commands.arrivals import quarantined
from tests.docs.alerts import Alerts, found, page_of
from tests.docs.scene import (
    BACKEND_API_DOWN,
    KEY_REFUSED,
    NEW_SECRET,
    UNUSED_PORT,
    Scene,
    serving,
)
from tests.e2e.processes import eventually
from tests.e2e.sessions import read_only
from tests.postgres_server import Sql

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed: it comes with Debian's package prometheus",
    ),
]

NOWHERE = f"postgresql://u:p@127.0.0.1:{UNUSED_PORT}/nowhere"
NO_LIST = ApiFault(kind=FaultKind.ERROR, status=401, on="GetUserList")
NO_KEYS = ApiFault(kind=FaultKind.ERROR, status=503, on="jwks")


async def test_no_replica_is_scraped(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    alerts.watch(UNUSED_PORT)
    await alerts.raised("ClerkUserSyncDown")
    gone = Scene(clerk, store_url, tmp_path, UNUSED_PORT)
    page = found(gone, "ClerkUserSyncDown", DATABASE_URL=NOWHERE)
    assert "alive: 000" in await page.run("healthz")
    assert "bad store" in await page.run("doctor")
    async with serving(clerk, store_url, tmp_path) as scene:  # with the right address
        alerts.watch(scene.port)
        await alerts.ended("ClerkUserSyncDown")
        assert '"status":"ready"' in await found(scene, "ClerkUserSyncDown").run(
            "-s $METRICS/readyz\n"
        )


async def test_requests_end_in_a_fault_of_ours(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    def broken(app: FastAPI) -> None:
        @app.get("/fault")
        async def fault() -> None:
            raise RuntimeError

    async def asked() -> None:
        async with httpx.AsyncClient() as http:
            await http.get(f"{scene.service}/fault")

    async with serving(clerk, store_url, tmp_path, prepare=broken) as scene:
        alerts.watch(scene.port)
        await alerts.raised("ClerkUserSyncFaults", by=asked)
        assert "alive: 200" in await found(scene, "ClerkUserSyncFaults").run("healthz")
    async with serving(clerk, store_url, tmp_path) as scene:  # the release before
        alerts.watch(scene.port)
        await alerts.ended("ClerkUserSyncFaults", by=asked)


async def test_the_store_does_not_answer(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    async with serving(clerk, NOWHERE, tmp_path) as scene:
        alerts.watch(scene.port)
        await alerts.raised("ClerkUserSyncStoreFailing")
        assert "bad store" in await found(scene, "ClerkUserSyncStoreFailing").run("doctor")
    async with serving(clerk, store_url, tmp_path) as scene:  # the new primary
        alerts.watch(scene.port)
        await alerts.ended("ClerkUserSyncStoreFailing")
        page = found(scene, "ClerkUserSyncStoreFailing")
        assert "drift left 0" in await page.run("reconcile --full --repair")


async def test_the_store_takes_no_writes(alerts: Alerts, scene: Scene, sql: Sql) -> None:
    async def signed_up() -> None:
        scene.signed_up()

    alerts.watch(scene.port)
    async with read_only(sql):
        await alerts.raised("ClerkUserSyncWebhooksNotStored", by=signed_up)
        page = found(scene, "ClerkUserSyncWebhooksNotStored")
        assert "it is read-only" in await page.run("doctor")
    await alerts.ended("ClerkUserSyncWebhooksNotStored", by=signed_up)  # it may be written to again


async def test_the_store_went_back(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, sql: Sql, tmp_path: Path
) -> None:
    async with serving(clerk, store_url, tmp_path) as scene:
        deleted = await scene.known()
        while not await sql.fetchval("select true from sync_checkpoints where name = 'store.mark'"):
            await asyncio.sleep(0.05)
    clerk.delete_user(deleted)
    # A restore writes each row in a transaction of its own.
    await sql.execute("update sync_checkpoints set saved_at = saved_at where name = 'store.mark'")
    async with serving(clerk, store_url, tmp_path) as scene:
        alerts.watch(scene.port)
        await alerts.raised("ClerkUserSyncStoreWentBack")
        await found(scene, "ClerkUserSyncStoreWentBack").run("backfill --restart")
        await alerts.ended("ClerkUserSyncStoreWentBack")
    assert await sql.fetchval("select deleted_at from users where clerk_id = $1", deleted)


async def test_webhooks_do_not_arrive(alerts: Alerts, scene: Scene) -> None:
    both = ("ClerkUserSyncWebhooksSilent", "ClerkUserSyncNoDeliveries")
    scene.webhooks_come(they_come=False)
    assert await scene.me(scene.signed_up()) == 200
    alerts.watch(scene.port)
    await alerts.raised(*both)
    assert {*map(page_of, both)} == {"webhooks-do-not-arrive"}
    page = found(scene, "ClerkUserSyncWebhooksSilent", SILENCE_AFTER="0.1")
    assert "bad webhooks" in await page.run("doctor")
    assert "signature_invalid" in await page.run("$ENDPOINT", ENDPOINT=scene.webhooks)
    scene.webhooks_come(they_come=True)  # in the dashboard, with a replay of what is missing
    scene.clerk.sender.replay(DeliveryStatus.MISSING)
    await page.run("backfill --restart")
    await alerts.ended(*both)


async def test_every_webhook_is_refused(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    async def signed_up() -> None:
        scene.signed_up()

    async with serving(clerk, store_url, tmp_path) as scene:
        clerk.sender.endpoints[:] = [Endpoint(url=scene.webhooks, secrets=(NEW_SECRET,))]
        alerts.watch(scene.port)
        await alerts.raised("ClerkUserSyncWebhooksRefused", by=signed_up)
        page = found(scene, "ClerkUserSyncWebhooksRefused")
        assert "signature_invalid" in await page.run("webhook_(refusals")
    new = (NEW_SECRET,)
    async with serving(clerk, store_url, tmp_path, clerk_webhook_signing_secret=new) as scene:
        clerk.sender.endpoints[:] = [Endpoint(url=scene.webhooks, secrets=(NEW_SECRET,))]
        alerts.watch(scene.port)
        await alerts.ended("ClerkUserSyncWebhooksRefused", by=signed_up)


async def test_the_secret_key_is_refused(alerts: Alerts, scene: Scene) -> None:
    scene.webhooks_come(they_come=False)
    alerts.watch(scene.port)
    scene.clerk.faults.add(KEY_REFUSED)
    await alerts.raised("ClerkUserSyncSecretKeyRefused", by=scene.somebody_new_comes)
    page = found(scene, "ClerkUserSyncSecretKeyRefused")
    assert "Clerk refuses CLERK_SECRET_KEY" in await page.run("doctor")
    scene.clerk.faults.clear()  # a new key is set
    await alerts.ended("ClerkUserSyncSecretKeyRefused", by=scene.somebody_new_comes)


@pytest.mark.parametrize("alerts", ["30s"], indirect=True)
async def test_clerk_fails(alerts: Alerts, scene: Scene) -> None:
    scene.webhooks_come(they_come=False)
    alerts.watch(scene.port)
    scene.clerk.faults.add(BACKEND_API_DOWN)
    await alerts.raised("ClerkUserSyncClerkFailing", by=scene.somebody_new_comes)
    page = found(scene, "ClerkUserSyncClerkFailing")
    assert "Clerk does not answer" in await page.run("doctor")
    assert "clerk_requests_total" in await page.run("clerk_requests_total")
    scene.clerk.faults.clear()  # as the page says: it ends by itself
    await alerts.ended("ClerkUserSyncClerkFailing", by=scene.somebody_new_comes)


async def test_the_signing_keys_cannot_be_fetched(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    clerk.faults.add(NO_KEYS)
    async with serving(clerk, store_url, tmp_path) as scene:
        alerts.watch(scene.port)
        await alerts.raised("ClerkUserSyncKeysOld")
        page = found(scene, "ClerkUserSyncKeysOld")
        assert "signing_keys_age_seconds +Inf" in await page.run("signing_keys_age")
        clerk.faults.clear()
        await alerts.ended("ClerkUserSyncKeysOld")


async def test_deliveries_are_in_quarantine(
    alerts: Alerts, scene: Scene, database: Database
) -> None:
    user_id = await scene.known()
    body = scene.clerk.deliveries(user_id)[-1].body
    await quarantined(database, body, clerk_id=user_id)
    alerts.watch(scene.port)
    await alerts.raised("ClerkUserSyncQuarantineFilled")
    page = found(scene, "ClerkUserSyncQuarantineFilled")
    assert "warn quarantine" in await page.run("doctor")
    await page.run("journal --outcome quarantined\n")
    await alerts.ended("ClerkUserSyncQuarantineFilled")


async def test_a_repair_leaves_drift(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    async with serving(clerk, store_url, tmp_path) as scene:
        gone = [scene.signed_up() for _ in range(52)]
        await clerk.sender.settled()
    for one in gone:
        clerk.delete_user(one)
    async with serving(clerk, store_url, tmp_path, reconcile_every=3600) as scene:
        alerts.watch(scene.port)
        page = found(scene, "ClerkUserSyncDriftLeft", DELETED="52")
        await page.run(
            "reconcile --full --repair", DELETED="1"
        )  # as the regular one: within its limit
        await alerts.raised("ClerkUserSyncDriftLeft")
        assert "deleted 52" in await page.run("reconcile --full\n")
        await page.run("--allow-deletions")
        await alerts.ended("ClerkUserSyncDriftLeft")


@pytest.mark.parametrize("alerts", ["30s"], indirect=True)
async def test_regular_work_does_not_end(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    names = ("ClerkUserSyncReconcileOverdue", "ClerkUserSyncPollOverdue", "ClerkUserSyncJobFails")
    clerk.faults.add(NO_LIST)
    async with serving(clerk, store_url, tmp_path, reconcile_every=1, poll_every=1) as scene:
        alerts.watch(scene.port)
        await alerts.raised(*names, "ClerkUserSyncSecretKeyRefused")
        assert {*map(page_of, names)} == {"reconcile-is-overdue"}
        page = found(scene, "ClerkUserSyncReconcileOverdue")

        async def the_page_shows_it() -> bool:
            return 'job_failures_total{name="reconcile"}' in await page.run("job_failures_total")

        await eventually(the_page_shows_it)  # the poll may be the first of the two to fail
        clerk.faults.clear()  # Clerk answers again, the first of the causes
        await page.run("reconcile --full --repair")
        await alerts.ended(*names)
