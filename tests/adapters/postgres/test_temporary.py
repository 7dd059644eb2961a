"""A database that exists during a host's tests."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.temporary import temporary_database
from domain.errors import StorageUnavailable


async def databases(url: str) -> set[str]:
    connection: Any = await asyncpg.connect(url)
    rows = await connection.fetch("select datname from pg_database")
    await connection.close()
    return {row["datname"] for row in rows}


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgres"])
async def test_it_is_there_for_the_block_and_dropped_though_somebody_is_connected(
    postgres_url: str, scheme: str
) -> None:
    given = urlunsplit(urlsplit(postgres_url)._replace(scheme=scheme, query="application_name=x"))
    async with temporary_database(given) as address:
        parts = urlsplit(address)
        assert (parts.scheme, parts.query) == (scheme, "application_name=x")
        plain = urlunsplit(parts._replace(scheme="postgresql"))
        connected: Any = await asyncpg.connect(plain)
        await connected.execute("create table anything (id int)")
        assert parts.path[1:] in await databases(postgres_url)
    assert parts.path[1:] not in await databases(postgres_url)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await connected.execute("select 1")
    connected.terminate()


async def test_a_role_that_may_not_is_told_the_right_it_lacks(postgres_url: str) -> None:
    role = f"plain_{uuid4().hex[:8]}"
    admin: Any = await asyncpg.connect(postgres_url)
    await admin.execute(f"create role {role} login password 'secret-1'")
    parts = urlsplit(postgres_url)
    place = f"{role}:secret-1@{parts.netloc.rpartition('@')[2]}"
    try:
        with pytest.raises(StorageUnavailable, match="lacks CREATEDB"):
            async with temporary_database(urlunsplit(parts._replace(netloc=place))):
                pass
    finally:
        await admin.execute(f"drop role {role}")
        await admin.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StorageUnavailable):
        async with temporary_database("postgresql://u:p@127.0.0.1:1/nowhere"):
            pass
