"""One run at a time: an advisory lock that Postgres itself drops when its holder is gone."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import asyncpg

from adapters.postgres.database import translated
from domain.errors import AlreadyRunning
from domain.ports import Exclusive

TRY_LOCK = "select pg_try_advisory_lock(hashtextextended('exclusive:' || $1, 0))"

HOLDER = """
with wanted as (select hashtextextended('exclusive:' || $1, 0) as key)
select application_name
from wanted
join pg_locks on locktype = 'advisory' and granted and objsubid = 1
    and (classid::bigint << 32) | objid::bigint = key
    and database = (select oid from pg_database where datname = current_database())
join pg_stat_activity using (pid)
"""

LONGEST_NAME = 63
"""Bytes of an `application_name` that Postgres keeps (NAMEDATALEN)."""


class PostgresExclusive(Exclusive):
    """A session's advisory lock on a connection of its own, under the holder's name.

    Not through a pooler in transaction mode: there a session is nobody's own.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        return self._hold(name, holder)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str) -> AsyncIterator[None]:
        connection = await self._connect(holder)
        try:
            await _lock(connection, name)
            yield
        finally:
            await _end(connection)

    async def _connect(self, holder: str) -> "asyncpg.Connection[asyncpg.Record]":
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=5,
                command_timeout=5,
                server_settings={"application_name": _short(holder)},
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise translated(error) from None


async def _lock(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    try:
        if await connection.fetchval(TRY_LOCK, name):
            return
        holder = await connection.fetchval(HOLDER, name)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise translated(error) from None
    raise AlreadyRunning(holder or "unknown")


async def _end(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """The lock goes with the session, and so it does when the session is already gone.

    Unlocked first: the server may notice the end of a session a little later.
    """
    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.execute("select pg_advisory_unlock_all()")
        await connection.close(timeout=5)
    connection.terminate()


def _short(holder: str) -> str:
    return holder.encode("ascii", "replace")[:LONGEST_NAME].decode()
