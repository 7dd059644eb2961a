from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.people import new_id
from tests.postgres_server import Sql, temporary_database


@pytest.fixture
async def accounts(sql: Sql) -> AsyncIterator[Sql]:
    await sql.execute("drop table if exists accounts")
    await sql.execute(
        "create table accounts (id text, email text, external_id text, verified boolean)"
    )
    yield sql
    await sql.execute("drop table accounts")


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    """A database without tables."""
    async with temporary_database(postgres_url, f"own_{new_id()}") as url:
        yield url


@pytest.fixture
async def host(url: str) -> AsyncIterator[Sql]:
    """A connection of the host application."""
    connection: Sql = await asyncpg.connect(url)
    yield connection
    await connection.close()
