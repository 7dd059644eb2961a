"""One run at a time: an advisory lock, which Postgres releases when its holder is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from adapters.postgres.database import out_of_reach, translated
from adapters.postgres.open_transaction import BEGIN, NO_TIMEOUT, holder_of, setting
from adapters.postgres.own_connection import Connection
from adapters.postgres.servers import CONNECT_ERRORS, DRIVER_ERRORS, Servers
from domain.errors import AlreadyRunning, StorageUnavailable
from domain.ports import Exclusive

SET_HOLDER = "select set_config('application_name', $1, true)"

KEY = "hashtextextended('exclusive:' || $1, 0)"

SILENCE = 60.0
"""Seconds: less than a network forgets a connection after that has nothing to say."""

TRY_LOCK = f"select pg_try_advisory_xact_lock({KEY})"

HOLDER = holder_of(KEY)


class PostgresExclusive(Exclusive):
    """An advisory lock of a transaction that stays open, on a connection of its own.

    A lock of the session would not work behind a pooler in transaction mode, which gives a client a
    server connection for one transaction. The transaction writes nothing and keeps no snapshot, so
    it does not hold back vacuum. The holder's name, up to 63 bytes, is its `application_name`.
    """

    def __init__(self, dsn: str, schema: str | None = None, *, silence: float = SILENCE) -> None:
        self._servers = Servers(dsn, schema)
        self._silence = silence

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        return self._hold(name, holder)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str) -> AsyncIterator[None]:
        # Two installations in one database must not share a lock.
        schema = self._servers.schema
        key = f"{schema}:{name}" if schema else name
        connection = await self._connect()
        try:
            await _lock(connection, key, holder)
            async with _cancelled_if_lost(connection, self._silence):
                yield
        finally:
            await _end(connection)

    async def _connect(self) -> Connection:
        try:
            connection: Connection = await self._servers.connect(
                timeout=5, command_timeout=5, statement_cache_size=0
            )
        except CONNECT_ERRORS as error:
            raise out_of_reach(error) from None
        return connection


async def _lock(connection: Connection, name: str, holder: str) -> None:
    try:
        await connection.execute(BEGIN)
        await connection.fetch(SET_HOLDER, holder)
        if await connection.fetchval(TRY_LOCK, name):
            await connection.execute(setting(NO_TIMEOUT))
            return
        other = await connection.fetchval(HOLDER, name)
    except DRIVER_ERRORS as error:
        raise translated(error) from None
    raise AlreadyRunning(other or "unknown")


@asynccontextmanager
async def _cancelled_if_lost(connection: Connection, silence: float) -> AsyncIterator[None]:
    """Cancel the block if the connection is lost, and raise `StorageUnavailable`.

    Without its connection the lock may already belong to another process.
    """
    asking = asyncio.create_task(_ask_now_and_then(connection, silence))
    try:
        async with asyncio.timeout(None) as block:

            def lost(_: object) -> None:
                with suppress(RuntimeError):  # the block has just ended
                    block.reschedule(0)

            connection.add_termination_listener(lost)
            asking.add_done_callback(lost)
            yield
    except TimeoutError:
        if not block.expired():
            raise
        raise StorageUnavailable("the lock was lost with its connection") from None
    finally:
        connection.remove_termination_listener(lost)
        asking.cancel()
        await asyncio.wait([asking])


async def _ask_now_and_then(connection: Connection, silence: float) -> None:
    """Keep a network from forgetting the connection. Ends if there is no answer."""
    with suppress(*DRIVER_ERRORS):
        while True:
            await asyncio.sleep(silence)
            await connection.execute("select 1")


async def _end(connection: Connection) -> None:
    """End the transaction, and the lock with it.

    It is rolled back first, because the server may notice the end of a connection later.
    """
    try:
        with suppress(*DRIVER_ERRORS):
            await connection.execute("rollback")
            await connection.close(timeout=5)
    finally:
        connection.terminate()  # also after a cancellation, so that no connection stays open
