"""docs/guides/existing-database.md as a team would follow it, in a fresh database."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.docs.guides import blocks, commands, run
from tests.postgres_server import Sql, temporary_database

GUIDE = "existing-database.md"
MADE, GRANTED, READ, OF_A_USER, AS_A_KEY, BY_HAND, GONE = blocks(GUIDE, "sql")
SIDE_BY_SIDE, LOOK, LINK = (commands(block) for block in blocks(GUIDE, "console"))
*_, RIGHTS = blocks("rights.md", "sql")
"""Those of the role that makes the application's tables."""


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, f"theirs_{uuid4().hex}") as url:
        yield url


@pytest.fixture
async def admin(url: str) -> AsyncIterator[Sql]:
    connection: Sql = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def application(admin: Sql, url: str) -> AsyncIterator[str]:
    """The role of the application, which has only the rights of the guides."""
    name = f"application_{uuid4().hex}"
    await admin.execute(
        f"create role {name} login password 'x'; grant create on schema public to {name}"
    )
    yield name
    await admin.execute(f"drop owned by {name} cascade; drop role {name}")


@pytest.fixture
async def sql(application: str, url: str) -> AsyncIterator[Sql]:
    """A connection of the application."""
    connection: Sql = await asyncpg.connect(url, user=application, password="x")
    yield connection
    await connection.close()


async def test_the_guide_from_its_first_line_to_its_last(
    clerk: ClerkEmulator, url: str, admin: Sql, application: str, sql: Sql
) -> None:
    environment = {**clerk.config.environment(), "DATABASE_URL": url, "CLERK_RATE_LIMIT": "100000"}
    await sql.execute(MADE)
    await sql.execute(
        "insert into users (email, email_confirmed_at) values ('ada@old.example', now()), "
        "('Grace@example.com', now()), ('hedy@example.com', null), ('joan@example.com', now())"
    )
    in_the_way = await run(["migrate"], environment)
    assert in_the_way.exit_code == 78
    assert "DATABASE_SCHEMA" in in_the_way.output
    ada = clerk.create_user(email_address=["ada@example.com"], external_id="1")["id"]
    grace, _, mary = (
        clerk.create_user(email_address=[f"{name}@example.com"])["id"]
        for name in ("grace", "hedy", "mary")
    )
    environment["DATABASE_SCHEMA"] = "clerk"
    for arguments in SIDE_BY_SIDE:
        ended = await run(arguments, environment)
        assert ended.exit_code == 0, ended.output
    await admin.execute(RIGHTS.replace("your_application", application))
    looked = await run(LOOK[0], environment)
    assert looked.exit_code == 0, looked.output
    assert await sql.fetchval("select count(*) from clerk.adopted_users") == 0
    linked = await run(LINK[0], environment)
    assert linked.exit_code == 0, linked.output
    found = [(row["id"], row["email"]) for row in await sql.fetch(READ)]
    assert found == [(1, "ada@example.com"), (2, "grace@example.com")]
    by_clerk_id = "select id from clerk.users where clerk_id = $1"
    row = await sql.fetchrow(OF_A_USER, await sql.fetchval(by_clerk_id, grace))
    assert row is not None
    assert (row["id"], row["plan"]) == (2, "free")
    await sql.execute(BY_HAND.replace("user_2abc", mary))
    # A lock on our table that is not to be had soon must not keep webhooks waiting.
    async with admin.transaction(), asyncio.timeout(30):
        await admin.execute("update clerk.users set last_synced_at = now()")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await each(sql, AS_A_KEY)
    await each(sql, AS_A_KEY)
    keys = await sql.fetch("select id from users where clerk_user_id is not null order by id")
    assert [key["id"] for key in keys] == [1, 2, 4]
    again = await run([*LINK[0], "--json"], environment)
    assert '"linked_before":3' in again.output
    clerk.delete_user(ada)
    await run(["reconcile", "--full", "--repair"], environment)
    assert [gone["id"] for gone in await sql.fetch(GONE)] == [1]
    assert await sql.fetchval("select count(*) from users") == 3


async def test_the_command_for_every_night_links_however_many_there_are(
    clerk: ClerkEmulator, url: str
) -> None:
    """More links than a person is asked about, without a terminal."""
    sql: Sql = await asyncpg.connect(url)
    environment = {**clerk.config.environment(), "DATABASE_URL": url, "CLERK_RATE_LIMIT": "100000"}
    environment["DATABASE_SCHEMA"] = "clerk"
    await sql.execute(MADE)
    clerk.create_users(1001)
    for arguments in SIDE_BY_SIDE:
        await run(arguments, environment)
    await sql.execute(
        "insert into users (email, email_confirmed_at) select email, now() from clerk.users"
    )
    linked = await run(LINK[-1], environment)
    assert linked.exit_code == 0, linked.output
    assert await sql.fetchval("select count(*) from clerk.adopted_users") == 1001
    await sql.close()


async def each(sql: Sql, statements: str) -> None:
    """One after another, as psql runs them: an index is not built concurrently among others."""
    for statement in statements.rstrip(";\n").split(";\n"):
        await sql.execute(statement)


async def test_the_grants_suffice(admin: Sql) -> None:
    name = f"serves_{uuid4().hex}"
    await admin.execute(f"{MADE}; create role {name}")
    await admin.execute(GRANTED.replace("clerk_service", name))
    assert await admin.fetchval("select has_table_privilege($1, 'public.users', 'select')", name)
    await admin.execute(f"drop owned by {name}; drop role {name}")
