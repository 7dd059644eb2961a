"""The console's search by the beginning of a name: whose capital letters, and by which index."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.address import with_database
from adapters.postgres.console import PostgresConsoleReads
from adapters.postgres.console_statements import USERS_LIKE
from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from adapters.postgres.session import qualified
from adapters.postgres.users import PostgresUserRepository
from tests.people import new_id, observed, user
from tests.postgres_server import Sql

CREATE = "create database \"{}\" encoding 'UTF8' locale 'C' template template0"


@pytest.fixture
async def of_locale_c(postgres_url: str) -> AsyncIterator[Database]:
    """The server knows no other letters there than those of ASCII."""
    name = f"locale_c_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(CREATE.format(name))
    try:
        url = with_database(postgres_url, name)
        await migrate(url)
        database = Database(url)
        await database.open()
        yield database
        await database.close()
    finally:
        await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()


async def test_a_name_is_found_as_it_stands_in_any_locale(of_locale_c: Database) -> None:
    users, reads = PostgresUserRepository(of_locale_c), PostgresConsoleReads(of_locale_c)
    for name in ("ÉMILE", "İbrahim", "ΓΙΩΡΓΟΣ", "Zoë"):
        await users.sync(observed(user(new_id(), first_name=name)))
        for typed in (name, name[:1], name[:3]):
            assert [one.first_name for one in await reads.users_like(typed)] == [name]
    assert [one.first_name for one in await reads.users_like("zO")] == ["Zoë"]


async def test_each_part_of_the_search_reads_a_range_of_its_index(sql: Sql) -> None:
    await sql.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
    await sql.execute(f"prepare search as {qualified(USERS_LIKE, None)}")
    rows = await sql.fetch("explain execute search ('ada', '~', 50)")
    await sql.execute("deallocate search")
    plan = "\n".join(row[0] for row in rows)
    for name in ("email", "first_name", "last_name"):
        assert f"users_{name}_prefix_idx" in plan
        assert f"Cond: ((lower({name}) ~>=~ lower(" in plan
