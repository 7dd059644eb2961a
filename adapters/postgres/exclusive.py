"""One run at a time: an advisory lock that Postgres itself drops when its holder is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from adapters.postgres.database import out_of_reach, translated
from adapters.postgres.servers import NO_SESSION, Servers
from domain.errors import AlreadyRunning, StorageUnavailable
from domain.ports import Exclusive

BEGIN = "begin isolation level read committed"

SAY_WHO = "select set_config('application_name', $1, true)"

# The second came with Postgres 17; there are servers that do not know it.
LET_IT_LAST = """
select set_config(name, '0', true) from pg_settings
where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""

TRY_LOCK = "select pg_try_advisory_xact_lock(hashtextextended('exclusive:' || $1, 0))"

HOLDER = """
with wanted as (select hashtextextended('exclusive:' || $1, 0) as key)
select application_name
from wanted
join pg_locks on locktype = 'advisory' and granted and objsubid = 1
    and (classid::bigint << 32) | objid::bigint = key
    and database = (select oid from pg_database where datname = current_database())
join pg_stat_activity using (pid)
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_DRIVERS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class PostgresExclusive(Exclusive):
    """A transaction's advisory lock, in a transaction left open on a connection of its own.

    A transaction, not a session, because a pooler in transaction mode lends a server connection
    for just so long. It writes nothing and keeps no snapshot, so it holds back no vacuum. While it
    is open, the server calls its connection by the holder's name (of which it keeps 63 bytes).
    """

    def __init__(self, dsn: str, schema: str | None = None) -> None:
        self._servers = Servers(dsn, schema)

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        return self._hold(name, holder)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str) -> AsyncIterator[None]:
        # Two installations in one database have locks of their own.
        schema = self._servers.schema
        key = f"{schema}:{name}" if schema else name
        connection = await self._connect()
        try:
            await _lock(connection, key, holder)
            async with _while_it_lasts(connection):
                yield
        finally:
            await _end(connection)

    async def _connect(self) -> Connection:
        try:
            connection: Connection = await self._servers.connect(
                timeout=5, command_timeout=5, statement_cache_size=0
            )
        except NO_SESSION as error:
            raise out_of_reach(error) from None
        return connection


async def _lock(connection: Connection, name: str, holder: str) -> None:
    try:
        await connection.execute(BEGIN)
        await connection.fetch(SAY_WHO, holder)
        if await connection.fetchval(TRY_LOCK, name):
            # Without parameters, so nothing stays open between us that would keep a snapshot.
            await connection.execute(LET_IT_LAST)
            return
        other = await connection.fetchval(HOLDER, name)
    except _DRIVERS as error:
        raise translated(error) from None
    raise AlreadyRunning(other or "unknown")


@asynccontextmanager
async def _while_it_lasts(connection: Connection) -> AsyncIterator[None]:
    """The block is cancelled when the connection is lost, and raises `StorageUnavailable`.

    Without it the lock may be somebody else's already.
    """
    try:
        async with asyncio.timeout(None) as block:

            def lost(_: object) -> None:
                with suppress(RuntimeError):  # it ended just now
                    block.reschedule(0)

            connection.add_termination_listener(lost)
            yield
    except TimeoutError:
        if not block.expired():
            raise
        raise StorageUnavailable("the lock was lost with its connection") from None
    finally:
        connection.remove_termination_listener(lost)


async def _end(connection: Connection) -> None:
    """The lock goes with the transaction, and so it does when the connection is already gone.

    Rolled back first: the server may notice the end of a connection a little later.
    """
    try:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.execute("rollback")
            await connection.close(timeout=5)
    finally:
        connection.terminate()  # whoever is cancelled meanwhile leaves no connection behind
