"""docs/guides/development-and-production.md, with two instances of an emulated Clerk."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.docs.guides import blocks, commands, run
from tests.postgres_server import Sql, temporary_database

GUIDE = "development-and-production.md"
(MOVE,) = blocks(GUIDE, "sql")
EMPTY, FILL, ADOPT = (commands(block) for block in blocks(GUIDE, "console"))


@pytest.fixture
async def development(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    async with running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
async def production(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    async with running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, f"live_{uuid4().hex}") as url:
        yield url


def settings(clerk: ClerkEmulator, url: str, schema: str) -> dict[str, str]:
    return {
        **clerk.config.environment(),
        "DATABASE_URL": url,
        "DATABASE_SCHEMA": schema,
        "CLERK_RATE_LIMIT": "100000",
    }


async def succeeds(arguments: list[str], environment: dict[str, str]) -> None:
    ended = await run(arguments, environment)
    assert ended.exit_code == 0, ended.output


def copied(development: ClerkEmulator, production: ClerkEmulator, *but: str) -> None:
    """What `clerk migrate` does of all this: each user again, with the old id as external id."""
    for user in list(development.users):
        if user.id not in but:
            (address,) = user.values("email_address")
            production.create_user(external_id=user.id, email_address=[address])


async def test_users_and_what_references_them_move_to_production(
    development: ClerkEmulator, production: ClerkEmulator, url: str
) -> None:
    before = settings(development, url, "clerk_development")
    await succeeds(["migrate"], before)
    ada = development.create_user(email_address=["ada@example.com"], first_name="Ada")["id"]
    development.create_user(email_address=["grace@example.com"])
    joan_before = development.create_user(email_address=["joan@example.com"])["id"]
    mary = development.create_user(email_address=["mary@example.com"])["id"]
    await succeeds(["backfill"], before)
    sql: Sql = await asyncpg.connect(url)
    await sql.execute(
        "create table orders (id int primary key, "
        "user_id uuid not null constraint orders_user_id_fkey references clerk_development.users);"
        "insert into orders select row_number() over (order by email), id "
        "from clerk_development.users"
    )
    # Joan has come to production by herself, and with the address that she has verified.
    joan = production.create_user(email_address=["joan@example.com"])["id"]
    copied(development, production, joan_before, mary)
    after = settings(production, url, "clerk_production")
    for arguments in (*FILL, *ADOPT):
        await succeeds(arguments, after)
    await sql.execute(MOVE)
    found = await sql.fetch(
        "select orders.id, email, external_id, clerk_id from orders "
        "join clerk_production.users on users.id = user_id order by orders.id"
    )
    emails = [row["email"] for row in found]
    assert emails == ["ada@example.com", "grace@example.com", "joan@example.com"]
    assert (found[0]["external_id"], found[2]["clerk_id"]) == (ada, joan)
    assert found[0]["clerk_id"] not in {ada, mary}  # and the order of Mary, who stayed, is gone
    await sql.execute("drop schema clerk_development cascade")
    await sql.close()


async def test_going_live_without_users_is_two_commands(
    production: ClerkEmulator, url: str
) -> None:
    environment = settings(production, url, "clerk")
    for arguments in EMPTY:
        await succeeds(arguments, environment)
