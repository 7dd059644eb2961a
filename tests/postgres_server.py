"""The Postgres the tests run on: a container where a Docker engine answers, else embedded."""

import gc
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

_LABEL = "clerk-user-sync.tests"


@dataclass(frozen=True)
class PostgresServer:
    """`stop` ends it; `name` says what it is."""

    name: str
    url: str
    stop: Callable[[], None]


def start_postgres_server() -> PostgresServer:
    """`TEST_POSTGRES` chooses: `container`, `embedded`, or whichever there is (default)."""
    choice = os.environ.get("TEST_POSTGRES", "any")
    if choice == "container":
        return start_container()
    if choice == "embedded" or not docker_answers():
        return start_embedded()
    try:
        return start_container()
    except Exception as error:  # noqa: BLE001 - an engine without its images is as good as none
        return start_embedded(f" (no container could be started: {type(error).__name__})")


def docker_answers() -> bool:
    import docker

    # Without an engine the client leaves a socket to the garbage collector, which would warn later.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=3)
            client.ping()
            client.close()
        except Exception:  # noqa: BLE001 - whatever it is, there is no engine
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
    """A throw-away server, not yet started."""
    from testcontainers.community.postgres import PostgresContainer

    return (
        PostgresContainer(image, driver=None)
        .with_kwargs(labels={_LABEL: str(int(time.time()))})
        .with_command("postgres -c fsync=off -c max_connections=200")
    )


def remove_forgotten_containers(older_than: float = 3600) -> None:
    """A run that was killed leaves its container behind when there is no reaper."""
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


def with_database(url: str, name: str) -> str:
    """The same server's address, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@asynccontextmanager
async def temporary_database(url: str, name: str) -> AsyncIterator[str]:
    """A database that is there as long as the block is."""
    admin = await asyncpg.connect(url)
    await admin.execute(f'create database "{name}"')
    try:
        yield with_database(url, name)
    finally:
        await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()
