"""As `test_alerts_end.py`: the alerts about subscriptions, late deliveries, the log and the load."""

import asyncio
import base64
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from fastapi import FastAPI

from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import ClerkEmulator
from service.app import user_sync
from service.changes import Changes
from tests.adapters.push.receiver import receiving
from tests.docs.alerts import Alerts, found
from tests.docs.scene import Scene, serving, shows
from tests.e2e.processes import ServiceProcess, environment_for, eventually
from tests.postgres_server import Sql
from tests.running import settings_for, svix_headers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed: it comes with Debian's package prometheus",
    ),
]


class Shop:
    """Sends a welcome mail, once its handler is mended."""

    def __init__(self, *, is_mended: bool) -> None:
        self.is_mended = is_mended
        self.mails: list[str] = []
        self.changes = Changes()
        register = self.changes.on(name="welcome-mail", begin="oldest", pauses=())
        register(self._welcome)

    async def _welcome(self, change: Change, _: LocalUser | None) -> None:
        if not self.is_mended:
            raise RuntimeError
        self.mails.append(change.clerk_id)

    async def sent(self, number: int) -> None:
        async with asyncio.timeout(30):
            while len(self.mails) < number:
                await asyncio.sleep(0.05)


async def test_changes_are_parked(alerts: Alerts, scene: Scene) -> None:
    shop = Shop(is_mended=False)
    await scene.known()
    alerts.watch(scene.port)
    settings = settings_for(scene.clerk, scene.store)
    async with user_sync(FastAPI(), settings, changes=shop.changes):
        await alerts.raised("ClerkUserSyncSubscriptionParked")
        page = found(scene, "ClerkUserSyncSubscriptionParked")
        assert "welcome-mail" in await page.run("changes list\n")
        assert "RuntimeError" in await page.run("changes list welcome-mail")
        shop.is_mended = True
        await page.run("changes retry")
        await alerts.ended("ClerkUserSyncSubscriptionParked")
    assert len(shop.mails) == 1


async def test_no_process_runs_a_subscription(alerts: Alerts, scene: Scene, sql: Sql) -> None:
    shop = Shop(is_mended=True)
    settings = settings_for(scene.clerk, scene.store)
    await scene.known()
    async with user_sync(FastAPI(), settings, changes=shop.changes):
        await shop.sent(1)
    await scene.known()
    await sql.execute("update user_changes set recorded_at = now() - interval '1 hour'")
    alerts.watch(scene.port)
    await alerts.raised("ClerkUserSyncSubscriptionBehind")
    page = found(scene, "ClerkUserSyncSubscriptionBehind")
    assert "nobody" in await page.run("changes list\n")
    async with user_sync(FastAPI(), settings, changes=shop.changes):  # it is started again
        await alerts.ended("ClerkUserSyncSubscriptionBehind")
    assert len(shop.mails) == 2


async def test_a_subscription_fell_behind(alerts: Alerts, scene: Scene, sql: Sql) -> None:
    shop = Shop(is_mended=True)
    settings = settings_for(scene.clerk, scene.store)
    async with user_sync(FastAPI(), settings, changes=shop.changes):
        pass
    for _ in range(3):
        await scene.known()
    alerts.watch(scene.port)
    await eventually(lambda: shows(scene, 'behind_changes{subscription="welcome-mail"} 3'))
    await sql.execute("delete from user_changes where position < 3")
    await alerts.raised("ClerkUserSyncSubscriptionFellBehind")
    page = found(scene, "ClerkUserSyncSubscriptionFellBehind")
    assert "not in the log" in await page.run("changes list\n")
    await page.run("changes rewind", NAME="welcome-mail")
    await alerts.ended("ClerkUserSyncSubscriptionFellBehind")
    async with user_sync(FastAPI(), settings, changes=shop.changes):
        await shop.sent(1)


async def test_a_subscription_is_paused(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    secret = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
    async with receiving() as receiver:
        receiver.status = 410
        crm = json.dumps([{"name": "crm", "url": receiver.url, "secrets": [secret]}])
        async with serving(
            clerk, store_url, tmp_path, changes_push=crm, changes_push_private=True
        ) as scene:
            await scene.known()
            alerts.watch(scene.port)

            async def somebody_signs_up() -> None:
                await scene.known()

            await alerts.raised("ClerkUserSyncSubscriptionPaused", by=somebody_signs_up)
            page = found(scene, "ClerkUserSyncSubscriptionPaused")
            assert "answered 410" in await page.run("changes list\n")
            receiver.status = 204
            await page.run("changes resume crm")
            await alerts.ended("ClerkUserSyncSubscriptionPaused")


async def test_deliveries_come_late(alerts: Alerts, scene: Scene) -> None:
    async def comes(seconds_late: float) -> None:
        user_id = scene.signed_up()
        envelope = json.loads(scene.clerk.deliveries(user_id)[-1].body)
        envelope["timestamp"] = int((time.time() - seconds_late) * 1000)
        body = json.dumps(envelope).encode()
        headers = svix_headers(scene.clerk.config.webhook_secrets[0], body)
        async with httpx.AsyncClient() as http:
            assert (await http.post(scene.webhooks, content=body, headers=headers)).is_success

    scene.webhooks_come(they_come=False)
    alerts.watch(scene.port)
    await alerts.raised("ClerkUserSyncDeliveriesLate", by=lambda: comes(200))
    page = found(scene, "ClerkUserSyncDeliveriesLate")
    assert "sync_lag_seconds_count" in await page.run("sync_lag_seconds")
    await page.run("reconcile --repair")
    await alerts.ended("ClerkUserSyncDeliveriesLate", by=lambda: comes(0))


@contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def read_all(reading: int) -> None:
    while os.read(reading, 65536):
        pass


async def test_nobody_reads_the_log(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    async def asked() -> None:
        async with httpx.AsyncClient() as http:
            for _ in range(50):
                await http.get(f"{scene.service}/v1/session")

    with unread_pipe() as (reading, writing), os.fdopen(writing, "w") as output:
        async with serving(
            clerk, store_url, tmp_path, output=output, log_level="info", log_format="json"
        ) as scene:
            alerts.watch(scene.port)
            await alerts.raised("ClerkUserSyncLogLinesDropped", by=asked)
            page = found(scene, "ClerkUserSyncLogLinesDropped")
            assert "log_lines_dropped_total" in await page.run("log_lines_dropped_total")
            reader = Thread(target=read_all, args=(reading,))
            reader.start()  # the other program reads again
            await alerts.ended("ClerkUserSyncLogLinesDropped", by=asked)
        output.close()
        reader.join()


@contextmanager
def starved(process: ServiceProcess) -> Iterator[None]:
    """The process is given some of the time only, as on a machine at its limit."""
    enough = Event()

    def starve() -> None:
        while not enough.is_set():
            process.send_signal(signal.SIGSTOP)
            enough.wait(0.4)
            process.send_signal(signal.SIGCONT)
            enough.wait(0.2)

    thread = Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


async def test_the_replicas_are_at_their_limit(
    alerts: Alerts, clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    service = ServiceProcess(environment_for(clerk, store_url), tmp_path)
    try:
        await service.start()
        alerts.watch(service.port)
        with starved(service):
            await alerts.raised("ClerkUserSyncEventLoopLate")
            scene = Scene(clerk, store_url, tmp_path, service.port)
            page = found(scene, "ClerkUserSyncEventLoopLate")
            assert "event_loop_lag_seconds_count" in await page.run("event_loop_lag")
        await alerts.ended("ClerkUserSyncEventLoopLate")  # the others take their share
    finally:
        await service.close()
