"""A connection beside the pool, for work that takes longer than a request may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from adapters.postgres.database import out_of_reach, translated
from adapters.postgres.servers import CONNECT_ERRORS, DRIVER_ERRORS, NAME, Servers

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def own_connection(
    servers: Servers, longest: float | None = None
) -> AsyncIterator[Connection]:
    """A connection that is closed with the block. `longest` is in seconds, for one statement.

    Raises `StorageUnavailable` or `Unstorable` for the driver's errors, in the block too.
    """
    try:
        connection: Connection = await servers.connect(
            timeout=5, command_timeout=longest, statement_cache_size=0, server_settings=NAME
        )
    except CONNECT_ERRORS as error:
        raise out_of_reach(error) from None
    try:
        yield connection
    except DRIVER_ERRORS as error:
        raise translated(error) from None
    finally:
        await _end(connection)


async def _end(connection: Connection) -> None:
    try:
        with suppress(*DRIVER_ERRORS):
            await connection.close(timeout=5)
    finally:
        connection.terminate()  # also if we are cancelled while it closes
