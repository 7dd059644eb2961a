"""The Postgres that the tests run on: a container if a Docker engine answers, else embedded."""

import gc
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from uuid import uuid4

import asyncpg

import adapters.postgres.change_tables  # noqa: F401 (adds its tables to the metadata)
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.address import with_database
from adapters.postgres.tables import Table

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

Sql: TypeAlias = "asyncpg.Connection[Any]"
"""A connection of the test's own, beside those of the service."""

_LABEL = "clerk-user-sync.tests"
EMPTY = "; ".join(f"delete from {table.name}" for table in reversed(Table.metadata.sorted_tables))
"""Deletes every row of ours. On small tables `truncate` takes a hundred times as long."""
_SERVICES_CONNECTED = """
    select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'clerk-user-sync'
"""


@dataclass(frozen=True)
class PostgresServer:
    """`name` is for the report's header, `stop` stops the server."""

    name: str
    url: str
    stop: Callable[[], None]


def start_postgres_server() -> PostgresServer:
    """`TEST_POSTGRES` is `container`, `embedded`, or `any` (default): a container if possible."""
    choice = os.environ.get("TEST_POSTGRES", "any")
    if choice == "container":
        return start_container()
    if choice == "embedded" or not docker_answers():
        return start_embedded()
    try:
        return start_container()
    except Exception as error:  # noqa: BLE001 - an engine that cannot start the image is no use
        return start_embedded(f" (no container could be started: {type(error).__name__})")


def docker_answers() -> bool:
    import docker

    # Without an engine the client leaves a socket open, which the garbage collector would report.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=3)
            client.ping()
            client.close()
        except Exception:  # noqa: BLE001 - any error means that there is no engine
            return False
        finally:
            gc.collect()
    return True


def start_container() -> PostgresServer:
    remove_forgotten_containers()
    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:16")
    server = container(image)
    server.start()
    return PostgresServer(
        name=f"{image} (testcontainers)",
        url=server.get_connection_url(),
        stop=server.stop,
    )


def container(image: str) -> "PostgresContainer":
    """A temporary server, not yet started."""
    from testcontainers.community.postgres import PostgresContainer

    return (
        PostgresContainer(image, driver=None)
        .with_kwargs(labels={_LABEL: str(int(time.time()))})
        .with_command("postgres -c fsync=off -c max_connections=200")
    )


def remove_forgotten_containers(older_than: float = 3600) -> None:
    """A killed test run leaves its container behind if testcontainers' reaper is disabled."""
    import docker

    client = docker.from_env()
    for container in client.containers.list(all=True, filters={"label": _LABEL}):
        if time.time() - int(container.labels[_LABEL]) > older_than:
            container.remove(force=True, v=True)
    client.close()


def start_embedded(why: str = "") -> PostgresServer:
    server = EmbeddedPostgres(settings={"max_connections": 200})
    server.start()
    return PostgresServer(name=f"embedded{why}", url=server.url(), stop=server.stop)


@asynccontextmanager
async def temporary_database(
    url: str, name: str, *, template: str = "template1"
) -> AsyncIterator[str]:
    """A database that exists during the block: a copy of `template`, which nobody may be using."""
    admin = await asyncpg.connect(url)
    await admin.execute(f'create database "{name}" template "{template}" strategy file_copy')
    try:
        yield with_database(url, name)
    finally:
        await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()


@dataclass(frozen=True)
class TemporaryStore:
    """A database with our tables. One connection to it stays open: connecting takes 8 ms."""

    url: str
    _pool: "asyncpg.Pool[Any]"

    async def empty(self) -> None:
        await self._pool.execute(EMPTY)

    async def services_connected(self) -> int:
        """How many sessions of our service or of its commands there are."""
        count: int = await self._pool.fetchval(_SERVICES_CONNECTED)
        return count

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[Sql]:
        """The kept connection. Its session settings are reset afterwards."""
        async with self._pool.acquire() as connection:
            yield cast("Sql", connection)


@asynccontextmanager
async def temporary_store(url: str, template: str) -> AsyncIterator[TemporaryStore]:
    """A copy of the migrated database `template`, on the server at `url`."""
    async with (
        temporary_database(url, f"test_{uuid4().hex}", template=template) as copy,
        asyncpg.create_pool(copy, min_size=1, max_size=1) as pool,
    ):
        yield TemporaryStore(copy, pool)
