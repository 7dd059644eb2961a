"""A database that exists during a host's tests."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.address import parse_address
from adapters.postgres.servers import Servers
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


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://{credentials}@{place}/?dbname=postgres",
        "postgresql://{credentials}@{place}/other?database=postgres&application_name=x",
        "postgresql:///postgres?host={host}&port={port}&user={user}&password={password}",
    ],
)
async def test_it_is_a_new_one_however_the_address_names_its_database(
    postgres_url: str, form: str
) -> None:
    parts = urlsplit(postgres_url)
    given = form.format(
        credentials=parts.netloc.rpartition("@")[0],
        place=parts.netloc.rpartition("@")[2],
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=parts.password,
    )
    async with temporary_database(given) as address:
        named, new = parse_address(given), parse_address(address)
        assert new.database is not None
        assert new.database.startswith("test_clerk_user_sync_")
        assert new == replace(named, database=new.database)
        connection = await Servers(address).connect(timeout=10)
        assert await connection.fetchval("select current_database()") == new.database
        await connection.close()


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
