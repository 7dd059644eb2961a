"""A database that exists during a test run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from adapters.postgres.address import with_database
from adapters.postgres.database import out_of_reach
from adapters.postgres.servers import CONNECT_ERRORS, Servers
from domain.errors import StorageUnavailable

_MAY_NOT = "the role may not create a database for the tests: it lacks CREATEDB"


@asynccontextmanager
async def temporary_database(dsn: str) -> AsyncIterator[str]:
    """The address of a new database on the server of `dsn`, which is dropped with the block.

    Nothing is read or written in the database that `dsn` names. Raises `StorageUnavailable`.
    """
    servers, name = Servers(dsn), f"test_clerk_user_sync_{uuid4().hex[:12]}"
    await _run(servers, f'create database "{name}"')
    try:
        yield with_database(dsn, name)
    finally:
        await _run(servers, f'drop database "{name}" with (force)')


async def _run(servers: Servers, statement: str) -> None:
    try:
        connection = await servers.connect(timeout=10, statement_cache_size=0)
        try:
            await connection.execute(statement)
        finally:
            await connection.close(timeout=5)
    except asyncpg.InsufficientPrivilegeError:
        raise StorageUnavailable(_MAY_NOT) from None
    except CONNECT_ERRORS as error:
        raise out_of_reach(error) from None
