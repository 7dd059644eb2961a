"""Each page of docs/operating/: its failure is caused, and its commands are run."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.clerk.api.calls import _SENTENCES
from adapters.postgres.database import _EXPLAINED, _NONE_FREE
from domain import health
from domain.schema import SchemaState, Standing
from scripts.clerk_emulator import (
    ClerkEmulator,
    DeliveryStatus,
    Endpoint,
)
from service.jobs import _LONGEST_DOUBT, _LONGEST_PAUSE
from tests.commands.scenes import drift
from tests.docs.runbooks import OPERATING
from tests.docs.scene import (
    BACKEND_API_DOWN,
    KEY_REFUSED,
    NEW_SECRET,
    UNUSED_PORT,
    Scene,
    all_was_run,
    eventually_ready,
    serving,
    shows,
)
from tests.e2e.processes import eventually
from tests.postgres_server import Sql


async def test_webhooks_do_not_arrive(scene: Scene) -> None:
    page = scene.runbook("webhooks-do-not-arrive", SILENCE_AFTER="0.1")
    scene.webhooks_come(they_come=False)
    somebody = scene.signed_up()
    assert await scene.me(somebody) == 200
    await asyncio.sleep(0.2)
    await page.next()  # doctor says so
    await page.next(ENDPOINT=f"{scene.service}/webhooks/clerk")  # the address works
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


def test_the_words_about_the_store_are_those_that_it_has() -> None:
    """Those with a colon say themselves what to do."""
    text = (OPERATING / "store-failed-over.md").read_text()
    named = {word for words in re.findall(r"(?m)^\| (`.+?) \|", text) for word in words.split("`")}
    ours = {words for words in _EXPLAINED.values() if ":" not in words} | {_NONE_FREE}
    assert ours <= named
    assert named - ours <= {"", ", "}


def test_each_reason_to_be_unready_is_on_the_page_of_a_service_that_is_down() -> None:
    text = (OPERATING / "service-is-down.md").read_text()
    for finding in (
        health.store("away"),
        health.schema(SchemaState(standing=Standing.BEHIND)),
        health.signing_keys(loaded=False),
        health.rows_instance("another"),
    ):
        assert finding.unready
        assert f"`{finding.about}`" in text


def test_a_job_that_failed_is_well_again_within_the_minutes_of_the_page() -> None:
    [minutes] = re.findall(
        r"take (\d+) minutes", (OPERATING / "reconcile-is-overdue.md").read_text()
    )
    assert int(minutes) * 60 == _LONGEST_PAUSE + _LONGEST_DOUBT


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


def test_the_page_about_clerk_explains_what_the_process_saw() -> None:
    """Its image has no curl, and the network of another machine may be another one."""
    text = (OPERATING / "clerk-is-down.md").read_text()
    for status in (*_SENTENCES, "unusable", "429"):
        assert f"| `{status}`" in text
    assert f"bad … {health.signing_keys(loaded=False).about}" in text
    assert not re.search(r"curl .*(/jwks|CLERK_API_URL)", text)


async def test_secrets_and_keys_are_rotated(
    clerk: ClerkEmulator, store_url: str, sql: Sql, tmp_path: Path
) -> None:
    async with serving(clerk, store_url, tmp_path) as before:
        page = before.runbook("rotating-secrets-and-keys")
        rotated = Endpoint(url=before.webhooks, secrets=(NEW_SECRET,))
        clerk.sender.endpoints[:] = [rotated]
        user_id = before.signed_up()
        await eventually(lambda: shows(before, r'code="signature_invalid"} [1-9]'))
        said = await page.next()
        assert "deliveries_total{" not in said
        assert "this machine's clock is" in said
        clerk.faults.add(KEY_REFUSED)
        await page.next()
        clerk.faults.clear()
        assert await before.me(user_id) == 200
        assert await before.forged_update(user_id) == 204
    secrets = secrets_of_the_page(page.name, leaked=clerk.config.webhook_secrets[0])
    async with serving(clerk, store_url, tmp_path, clerk_webhook_signing_secret=secrets) as after:
        page.environment = after.runbook(page.name).environment
        assert await after.forged_update(user_id) == 400
        assert await drift(clerk, sql) != {}
        await page.next()
        await page.next(USER_ID=user_id)
        assert await drift(clerk, sql) == {}
        clerk.sender.endpoints[:] = [Endpoint(url=after.webhooks, secrets=(NEW_SECRET,))]
        after.signed_up()
        await eventually(lambda: shows(after, r'deliveries_total\{outcome="created"'))
        await page.next()
        assert await after.me(user_id) == 200
    all_was_run(page)


def secrets_of_the_page(name: str, *, leaked: str) -> str:
    """The value of `CLERK_WEBHOOK_SIGNING_SECRET` that the page gives."""
    text = (OPERATING / f"{name}.md").read_text()
    [value] = re.findall(r"(?m)^    CLERK_WEBHOOK_SIGNING_SECRET=(.+)$", text)
    return str(value).replace("whsec_new…", NEW_SECRET).replace("whsec_old…", leaked)


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


async def test_upgrading(scene: Scene) -> None:
    page = scene.runbook("upgrading")
    await page.next()
    await eventually_ready(scene)
    await page.next()
    all_was_run(page)


async def test_scaling_out(scene: Scene) -> None:
    await scene.known()
    page = scene.runbook("scaling-out")

    await eventually(lambda: shows(scene, "event_loop_lag_seconds_count [1-9]"))
    await page.next()
    all_was_run(page)


def pages() -> Iterator[str]:
    return (path.stem for path in OPERATING.glob("*.md") if path.stem != "index")


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_page_says_what_a_stranger_needs(name: str) -> None:
    text = (OPERATING / f"{name}.md").read_text()
    tests = "".join(one.read_text() for one in Path(__file__).parent.glob("test_runbooks*.py"))
    for heading in ("What you see", "How bad it is", "What to do", "It is over when"):
        assert f"\n## {heading}\n" in text, f"{name} lacks: {heading}"
    assert f"({name}.md)" in (OPERATING / "index.md").read_text()
    assert f'"{name}"' in tests, f"no test runs the commands of {name}"


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
