"""The pages of docs/operating/ about users and their data: the failure is caused, and the commands are run."""

import re
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from adapters.postgres.database import Database
from adapters.postgres.retention import PostgresRetention
from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import (
    ApiFault,
    ClerkEmulator,
    FaultKind,
)
from service.app import user_sync
from service.changes import Changes
from tests.commands.arrivals import quarantined
from tests.docs.runbooks import OPERATING, ROOT
from tests.docs.scene import Scene, all_was_run, serving, shows
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import settings_for


async def test_the_quarantine_fills(scene: Scene, database: Database, sql: Sql) -> None:
    user_id = await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.update_user(user_id, first_name="Ada")
    # The release of that day could not read what this one can.
    body = scene.clerk.deliveries(user_id)[-1].body
    await quarantined(database, body, clerk_id=user_id)
    await quarantined(database, body, clerk_id=user_id, svix_id="msg_old")
    await sql.execute(
        "update sync_journal set received_at = now() - interval '31 days' where svix_id = 'msg_old'"
    )
    assert await PostgresRetention(database).expire_bodies(timedelta(days=30), 9) == 1
    page = scene.runbook("quarantine-fills")
    await page.next()
    await page.next()
    await page.next()
    assert '"reason":"wrong_type"' in await page.next()
    await page.next(CAUSE="wrong_type")
    await page.next()
    assert await sql.fetchval("select first_name from users") == "Ada"
    all_was_run(page)


async def test_drift_is_found(scene: Scene, sql: Sql) -> None:
    page = scene.runbook("drift-found", DELETED="1")
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


def test_each_reason_to_refuse_a_token_is_on_the_page_of_a_user_who_cannot_get_in() -> None:
    text = (OPERATING / "user-cannot-get-in.md").read_text()
    sources = [*(ROOT / "adapters/clerk/prove").glob("*.py"), ROOT / "service/auth.py"]
    written = "".join(source.read_text() for source in sources)
    reasons = set(re.findall(r'InvalidSession\("(.+?)"\)', written))
    assert len(reasons) > 15
    assert sorted(reason for reason in reasons if f"`{reason}`" not in text) == []


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


async def test_restored_from_a_backup(scene: Scene, sql: Sql) -> None:
    leaves, lost = await scene.known(), await scene.known()
    scene.webhooks_come(they_come=False)
    scene.clerk.delete_user(leaves)  # the backup is older, and has that user
    await sql.execute("delete from users where clerk_id = $1", lost)  # and this one signed up since
    page = scene.runbook("restored-from-a-backup")
    await page.next()
    await page.next()
    all_was_run(page)


async def test_a_logical_replica_goes_on_after_its_newest_ids(scene: Scene, sql: Sql) -> None:
    await scene.known()
    actions = "insert into operator_actions (who, action, detail) values ('us', 'test', '{}')"
    await sql.execute(actions)
    for table in ("operator_actions", "sync_journal", "user_changes"):
        await sql.execute(f"alter table {table} alter id restart with 1")
    page = (OPERATING / "restored-from-a-backup.md").read_text()
    [statements] = re.findall(r"(?ms)^```sql\n(.*?)^```", page)
    await sql.execute(statements)
    await sql.execute(actions)
    assert await scene.me(await scene.known()) == 200
    for table in ("operator_actions", "sync_journal", "user_changes"):
        ids = f"select count(*) >= 2 and count(*) = count(distinct id) from {table}"
        assert await sql.fetchval(ids), table


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
        # None is paused here; `test_alerts_of_processes_end.py` resumes one that is.
        assert "no subscription 'crm'" in await page.next()
        # Nor did one fall behind; see there too.
        assert "no subscription 'crm'" in await page.next(NAME="crm")
        await page.next()
    all_was_run(page)
