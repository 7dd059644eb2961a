"""The SQL of docs/guides/rights.md, and the whole product with the rights that it grants."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.migrate import _run, migrate
from adapters.postgres.schema import schema_state
from adapters.postgres.servers import Servers
from adapters.postgres.upgrade import step_back
from domain.errors import StorageUnavailable
from domain.schema import Standing
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, INSTANCE, webhook_bytes
from tests.adapters.push.receiver import NEW, Receiver, receiving
from tests.commands.commands import Operator
from tests.console.visitors import OPERATOR, TOKENS, visitor_of
from tests.docs.guides import blocks
from tests.e2e.processes import eventually
from tests.people import new_id
from tests.postgres_server import Sql, temporary_database
from tests.running import bearer, running_service

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "guides" / "rights.md"
ONCE, AFTER_MIGRATE, FOR_A_HOST = re.findall(r"(?s)```sql\n(.*?)```", GUIDE.read_text())
_, TRIGGERS = blocks("changes.md", "sql")
PASSWORDS = {
    "clerk_migrator": "change-me-1",
    "clerk_service": "change-me-2",
    "clerk_reports": "change-me-3",
}
SCHEMA = "clerk"
READER = "a token of another service, which is long enough"


@dataclass(frozen=True)
class Roles:
    """The guide's roles, with names for this test, because roles belong to the whole server."""

    database: str
    mark: str

    def named(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(PASSWORDS)})\b", rf"\1_{self.mark}", text)

    def url(self, role: str) -> str:
        parts = urlsplit(self.database)
        place = f"{self.named(role)}:{PASSWORDS[role]}@{parts.netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=place))

    async def run(self, role: str, sql: str) -> None:
        connection: Sql = await asyncpg.connect(self.url(role) if role else self.database)
        try:
            await connection.execute(self.named(sql))
        finally:
            await connection.close()


@pytest.fixture
async def roles(postgres_url: str) -> AsyncIterator[Roles]:
    mark = uuid4().hex[:8]
    async with temporary_database(postgres_url, f"rights_{mark}") as url:
        roles = Roles(url, mark)
        await roles.run("", ONCE)
        await migrate(roles.url("clerk_migrator"), SCHEMA)
        await roles.run("clerk_migrator", AFTER_MIGRATE)
        yield roles
        await roles.run("", f"drop owned by {', '.join(PASSWORDS)} cascade")
    admin: Sql = await asyncpg.connect(postgres_url)
    await admin.execute(roles.named(f"drop role {', '.join(PASSWORDS)}"))
    await admin.close()


async def test_the_whole_product_works_without_the_right_to_change_a_table(
    roles: Roles, clerk: ClerkEmulator
) -> None:
    url = roles.url("clerk_service")
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
    await roles.run("", "create table accounts (id int); insert into accounts values (1)")
    await roles.run("", "grant select on accounts to clerk_service")
    operator = Operator(
        {
            **clerk.config.environment(),
            "DATABASE_URL": url,
            "DATABASE_SCHEMA": SCHEMA,
            "CLERK_INSTANCE_ID": INSTANCE,
            "CLERK_RATE_LIMIT": "100000",
        }
    )
    async with receiving() as crm, running_service(clerk, url, **pushing_to(crm)) as service:
        crm.status = 500
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204
        assert (await service.deliver(webhook_bytes("user.updated"))).status_code == 204
        junk = await service.deliver(b'{"type":"user.created","data":{}}', svix_id="msg_junk")
        assert junk.status_code == 202
        assert (await service.me(clerk.session_token(person["id"]))).status_code == 200
        report = (await service.http.get("/readyz")).json()
        assert (report["checks"]["schema"], report["degraded"]) == (True, [])
        async with visitor_of(service.app) as visitor:
            await visitor.sign_in(OPERATOR)
            for page in ("", "/users", "/deliveries", "/quarantine", "/drift", "/audit"):
                assert (await visitor.get(page)).status_code == 200, page
        assert (await service.deliver(webhook_bytes("user.deleted"))).status_code == 204
        read = await service.http.get("/v1/changes", headers=bearer(READER))
        assert (read.status_code, bool(read.json()["changes"])) == (200, True)
        await eventually(lambda: bool(crm.got))
        crm.status = 204
        for command in (["changes", "list"], ["changes", "retry", "crm"]):
            ended = await operator.run(*command)
            assert ended.code == 0, (command, ended.said)
        await eventually(lambda: any(b'"user.deleted"' in body for _, body in crm.got))
    for command in (
        ["backfill", "--restart"],
        ["reconcile", "--full", "--repair"],
        ["retain"],
        ["adopt", "accounts", "--apply"],
        ["journal", "--yes"],
        ["dismiss", "msg_junk", "--reason", "a test event"],
        ["explain", ADA],
        ["erase", ADA],
        ["changes", "rewind", "crm", "--to", "oldest", "--yes"],
        ["changes", "remove", "crm"],
    ):
        ended = await operator.run(*command)
        # The delivery in quarantine is as unreadable as before.
        assert ended.code == (65 if command[0] == "journal" else 0), (command, ended.said)


def pushing_to(receiver: Receiver) -> dict[str, Any]:
    """Settings with a console, a reader of changes, and this endpoint."""
    crm = {"name": "crm", "url": receiver.url, "secrets": [NEW], "begin": "oldest"}
    return {
        **TOKENS,
        "clerk_rate_limit": 10_000,
        "database_schema": SCHEMA,
        "changes_push": json.dumps([crm]),
        "changes_push_private": True,
        "changes_token": READER,
    }


async def test_the_serving_role_changes_no_table(roles: Roles) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await roles.run("clerk_service", "alter table clerk.users add column nickname text")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await roles.run("clerk_service", "delete from clerk.users")
    state = await migrate(roles.url("clerk_service"), SCHEMA)
    assert state.standing is Standing.AT_HEAD


async def test_a_backup_of_an_older_release_is_migrated_as_the_page_says(roles: Roles) -> None:
    older = partial(step_back, revision="0006")
    await _run(Servers(roles.url("clerk_migrator"), SCHEMA), older)
    with pytest.raises(StorageUnavailable, match="it needs CREATE"):
        await migrate(roles.url("clerk_service"), SCHEMA)
    page = (DOCS / "operating" / "restored-from-a-backup.md").read_text()
    [role] = re.findall(r"DATABASE_URL=postgresql://(\w+):… clerk-user-sync migrate", page)
    assert (await migrate(roles.url(role), SCHEMA)).standing is Standing.AT_HEAD
    job = (DOCS.parent / "deploy" / "kubernetes" / "base" / "migrate.yaml").read_text()
    [secret] = re.findall(r"secret `([\w-]+)`", page)
    assert f"name: {secret}\n                  key: DATABASE_URL" in job


async def test_the_reporting_role_reads_only_users_that_are_not_deleted(roles: Roles) -> None:
    await roles.run("clerk_reports", "select count(*) from clerk.users_live")
    for table in ("users", "sync_journal", "operator_actions"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await roles.run("clerk_reports", f"select count(*) from clerk.{table}")


async def test_a_host_may_reference_a_user(roles: Roles) -> None:
    await roles.run("", FOR_A_HOST.replace("your_application", "clerk_reports"))
    await roles.run("", "create schema shop authorization clerk_reports")
    made = "create table shop.orders (user_id uuid references clerk.users (id))"
    await roles.run("clerk_reports", made)


async def test_a_right_that_is_missing_is_named(roles: Roles) -> None:
    await roles.run("clerk_migrator", "revoke delete on clerk.sync_journal from clerk_service")
    role = roles.named("clerk_service")
    database = Database(roles.url("clerk_service"), schema=SCHEMA)
    await database.open()
    state = await schema_state(database)
    assert (state.standing, state.lacking) == (Standing.AT_HEAD, ("DELETE on sync_journal",))
    words = f"the role {role} lacks DELETE on sync_journal: see docs/guides/rights.md"
    with pytest.raises(StorageUnavailable, match=words):
        await database.run(lambda session: session.execute("delete from our.sync_journal"))
    await roles.run(
        "clerk_migrator", "revoke select on clerk.clerk_user_sync_version from clerk_service"
    )
    state = await schema_state(database)
    assert state.standing is Standing.UNREADABLE
    assert "SELECT on clerk_user_sync_version" in state.lacking
    await database.close()


async def test_after_an_upgrade_from_1_0_the_statements_of_the_changelog_suffice(
    roles: Roles,
) -> None:
    """The role has the rights that it had in 1.0, on the four tables that were there."""
    await roles.run(
        "clerk_migrator",
        "revoke all on all tables in schema clerk from clerk_service;"
        "grant select, insert, update on clerk.users, clerk.operator_actions to clerk_service;"
        "grant select, insert, update, delete on clerk.sync_journal, clerk.sync_checkpoints "
        "to clerk_service",
    )
    entry = (GUIDE.parents[2] / "CHANGELOG.md").read_text().partition("### Added")[0]
    grants = re.findall(r"grant\s[a-z,\s]+\son\s[a-z_,\s]+\sto\s…", entry)
    assert grants
    statements = [grant.replace("…", "clerk_service") for grant in grants]
    await roles.run("clerk_migrator", "; ".join(["set search_path to clerk", *statements]))
    database = Database(roles.url("clerk_service"), schema=SCHEMA)
    await database.open()
    state = await schema_state(database)
    assert (state.standing, state.lacking) == (Standing.AT_HEAD, ())
    await database.close()


async def test_the_trigger_of_the_guide_to_changes_works_for_the_serving_role(
    roles: Roles, clerk: ClerkEmulator
) -> None:
    await roles.run("", re.sub(r"\busers\b", f"{SCHEMA}.users", TRIGGERS))
    url = roles.url("clerk_service")
    async with running_service(clerk, url, database_schema=SCHEMA) as service:
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204
        await roles.run("", "do $$ begin assert exists (select from workspaces); end $$")
        assert (await service.deliver(webhook_bytes("user.deleted"))).status_code == 204
        await roles.run("", "do $$ begin assert not exists (select from workspaces); end $$")


async def test_a_role_without_the_right_to_migrate_gets_the_missing_right(
    roles: Roles,
) -> None:
    with pytest.raises(StorageUnavailable, match=r"may not change database .*: it needs CREATE"):
        await migrate(roles.url("clerk_service"), "another")
