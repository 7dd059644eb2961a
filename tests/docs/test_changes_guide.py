"""The code of docs/guides/changes.md, as it stands there."""

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import LocalUser, UserId
from scripts.clerk_emulator import ClerkEmulator
from scripts.program import ENTRIES
from service import surface
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.e2e.processes import environment_for
from tests.people import deleted, delivered, new_id, observed, user
from tests.running import Service, client_of
from tests.service.tables import every_change_is_settled

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "changes.md").read_text()
HANDLERS, HOST, CREDITS = re.findall(r"(?s)```python\n(.*?)```", GUIDE)
CREDITS_TABLE, TRIGGERS = re.findall(r"(?s)```sql\n(.*?)```", GUIDE)
UNDO = """
drop trigger if exists workspace_of_a_new_user on users;
drop trigger if exists workspace_of_a_deleted_user on users;
drop function if exists keep_workspace;
drop table if exists workspaces, credits
"""

Sql = asyncpg.Connection


class World:
    """What the handlers of the guide act upon."""

    def __init__(self, sql: Sql) -> None:
        self.mails: list[tuple[str, str]] = []
        self.addresses: dict[str, str] = {}
        self.purged: list[Any] = []
        self.database = sql

    async def send_mail(self, address: str, _: str, *, key: str) -> None:
        self.mails.append((address, key))

    async def put(self, *, id: str, email: str) -> None:  # noqa: A002 - as in the guide
        self.addresses[id] = email

    async def delete(self, *, owner: Any) -> None:
        self.purged.append(owner)

    def names(self) -> dict[str, Any]:
        return {
            "send_mail": self.send_mail,
            "newsletter": SimpleNamespace(put=self.put),
            "files": SimpleNamespace(delete=self.delete),
            "database": self.database,
        }


@pytest.fixture
async def clean(sql: Sql) -> Any:
    yield
    await sql.execute(UNDO)


def as_in_the_repository(code: str) -> str:
    """The package's names, which are `service.surface` here."""
    return code.replace("from clerk_user_sync import", "from service.surface import")


async def test_the_handlers_do_what_the_guide_says(
    clerk: ClerkEmulator,
    store_url: str,
    sql: Sql,
    clean: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del clean
    world = World(await asyncpg.connect(store_url))
    names = world.names()
    await sql.execute(CREDITS_TABLE)
    for name, value in environment_for(clerk, store_url).items():
        monkeypatch.setenv(name, value)
    for code in (HANDLERS, CREDITS, HOST):
        exec(compile(as_in_the_repository(code), "docs/guides/changes.md", "exec"), names)
    app = names["app"]
    async with app.router.lifespan_context(app), client_of(app) as http:
        service = Service(http, app, clerk.config.webhook_secrets[0])
        async with asyncio.timeout(60):
            held = "select count(*) from user_change_subscriptions where holder is not null"
            while await sql.fetchval(held) < 4:
                await asyncio.sleep(0.05)
        for _ in range(2):
            await service.deliver(webhook_bytes("user.created"))
        await every_change_is_settled(sql)
        store = names["app"].state.user_sync.store
        record = await store.users.get(ADA)
        assert isinstance(record, LocalUser)
        moved = user(UserId(ADA), updated=10**9, email="new@example.com")
        await store.users.sync(observed(moved))
        await every_change_is_settled(sql)
        await store.users.sync(observed(deleted(UserId(ADA))))
        await every_change_is_settled(sql)
    assert world.mails == [(record.email, f"welcome-mail:1:{record.id}")]
    assert world.addresses == {str(record.id): "new@example.com"}
    assert world.purged == [record.id]
    row = await sql.fetchrow("select * from credits")
    assert row is not None
    assert tuple(row) == (record.id, 100, f"credits:1:{record.id}")
    await world.database.close()


async def test_the_trigger_keeps_a_workspace_with_each_user_whatever_path_it_takes(
    database: Database, sql: Sql, clean: None
) -> None:
    del clean
    await sql.execute(TRIGGERS)
    users = PostgresUserRepository(database)
    ada, bob, eve = new_id(), new_id(), new_id()
    await users.sync_many([observed(user(ada)), delivered(user(bob)), observed(deleted(eve))])
    await users.sync(observed(user(ada, updated=2)))
    with_one = "select clerk_id from workspaces join users on users.id = user_id order by clerk_id"
    assert [row[0] for row in await sql.fetch(with_one)] == sorted([ada, bob])
    await users.sync(delivered(deleted(bob)))
    assert [row[0] for row in await sql.fetch(with_one)] == [ada]


async def test_a_trigger_that_raises_keeps_the_user_out_too(
    database: Database, sql: Sql, clean: None
) -> None:
    del clean
    await sql.execute(TRIGGERS)
    await sql.execute("alter table workspaces add column must_be_given text not null")
    ada = new_id()
    with pytest.raises(Exception, match="NotNullViolation"):
        await PostgresUserRepository(database).sync(observed(user(ada)))
    assert await sql.fetchval("select count(*) from users") == 0
    assert await sql.fetchval("select count(*) from user_changes") == 0


def test_each_command_of_the_guide_is_there() -> None:
    said = re.findall(r"(?m)^clerk-user-sync (changes \w+)", GUIDE)
    assert said
    assert set(said) <= set(ENTRIES)


def test_the_names_of_the_guide_are_public() -> None:
    imported = re.findall(r"from clerk_user_sync import (.*)", GUIDE)
    names = {name.strip() for line in imported for name in line.split(",")}
    assert names
    assert all(hasattr(surface, name) for name in names)
