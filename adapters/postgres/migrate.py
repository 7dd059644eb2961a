"""Migrate the schema to head. Safe from several processes at once, and under traffic."""

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres import upgrade
from adapters.postgres.database import is_behind_pooler, out_of_reach
from adapters.postgres.open_transaction import BEGIN, NO_TIMEOUT, holder_of, setting
from adapters.postgres.servers import CONNECT_ERRORS, Servers
from domain.errors import StorageUnavailable
from domain.schema import SchemaState

Answer = TypeVar("Answer")

PATIENCE = 10.0
"""Seconds of a wait for another migration that are not worth a line in the log."""

_AS_LONG_AS_WE_ARE_THERE = {
    **NO_TIMEOUT,
    # A minute after this process has vanished its locks are free. By default it takes two hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

_OF_A_TRANSACTION = {**_AS_LONG_AS_WE_ARE_THERE, "lock_timeout": "2s"}
"""A migration waits so long for a table's lock, because all traffic waits behind it."""

_OF_THE_SESSION = {**_AS_LONG_AS_WE_ARE_THERE, "lock_timeout": "0"}
"""For statements outside a transaction: these build indexes, and no traffic waits behind them."""


async def migrate(
    dsn: str, schema: str | None = None, *, patience: float = PATIENCE
) -> SchemaState:
    """Apply every missing migration, each in its own transaction.

    `schema` is created if it is missing. A schema that is ahead is left unchanged. A wait for
    another migration has no end; after `patience` seconds it is logged. Raises `SchemaRefused`, or
    `StorageUnavailable`, also if another transaction holds a table's lock too long; it can be
    repeated.
    """
    work = partial(upgrade.bring_to_head, commits=True)
    return await _run(Servers(dsn, schema), work, patience)


async def missing_sql(dsn: str, schema: str | None = None) -> str:
    """The SQL that `migrate` would run now, for a database administrator to run.

    Empty if nothing is missing. Raises the errors of `migrate`.
    """
    return await _run(Servers(dsn, schema), upgrade.missing_sql)


async def _run(
    servers: Servers,
    work: Callable[[Connection, str | None], Answer],
    patience: float = PATIENCE,
) -> Answer:
    engine = _engine(servers)
    try:
        async with _locked(servers, patience), engine.connect() as connection:
            return await connection.run_sync(work, servers.schema)
    except DBAPIError as error:
        raise _in_words(_driver_error(error)) from None
    except CONNECT_ERRORS as error:
        raise _in_words(error) from None
    finally:
        await engine.dispose()


@asynccontextmanager
async def _locked(servers: Servers, patience: float) -> AsyncIterator[None]:
    """Allow one migration at a time, by a lock in a transaction on a second connection.

    In a transaction, because a pooler in transaction mode keeps a server connection for no longer.
    A process that waits polls for the lock: waiting inside a statement would keep a snapshot, and
    the concurrent build of an index waits for all snapshots.
    """
    connection = await servers.connect(timeout=10, statement_cache_size=0)
    log_at = time.monotonic() + patience
    try:
        while True:
            await connection.execute(BEGIN)
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", upgrade.LOCK):
                break
            if time.monotonic() > log_at and await _logged_holder(connection):
                log_at = math.inf
            await connection.execute("rollback")
            await asyncio.sleep(upgrade.ASK_AGAIN)
        await connection.execute(setting(_AS_LONG_AS_WE_ARE_THERE))
        yield
    finally:
        await connection.close(timeout=5)


async def _logged_holder(connection: Any) -> bool:
    """Log who holds the lock of migrations. False if nobody does any more."""
    holder = await connection.fetchrow(holder_of(str(upgrade.LOCK)))
    if holder is None:
        return False
    # Another role's transaction shows no time.
    since = f" since {holder['xact_start']:%Y-%m-%d %H:%M:%S} UTC" if holder["xact_start"] else ""
    logging.getLogger(__name__).warning(
        "another migration is under way%s, and this one waits for its end. If it hangs: "
        "select pg_terminate_backend(%s)",
        since,
        holder["pid"],
    )
    return True


def _engine(servers: Servers) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": partial(_connected, servers),
            "timeout": 10,
            # No named statements: behind a pooler another client may use the same name.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "begin", _begun)
    return engine


async def _connected(servers: Servers, **options: Any) -> Any:
    """A session without timeouts. Behind a pooler, only its transactions can be without."""
    connection = await servers.connect(**options)
    try:
        if not await is_behind_pooler(connection):
            await connection.execute(setting(_OF_THE_SESSION, local=False))
    except BaseException:
        connection.terminate()
        raise
    return connection


def _begun(connection: Connection) -> None:
    connection.exec_driver_sql(setting(_OF_A_TRANSACTION))


def _driver_error(error: DBAPIError) -> Exception:
    """The driver's error, which SQLAlchemy wraps twice."""
    cause = error.orig.__cause__ if error.orig else None
    return cause if isinstance(cause, Exception) else error


def _in_words(error: Exception) -> StorageUnavailable:
    if isinstance(error, asyncpg.QueryCanceledError):
        return StorageUnavailable(
            "a statement was cancelled, as a statement_timeout does to an index behind a pooler: "
            "give the server's own address (QueryCanceledError 57014)"
        )
    if not isinstance(error, asyncpg.InsufficientPrivilegeError):
        return out_of_reach(error)
    # The server's message names only the object, so it holds no row.
    named = re.search(
        r"(schema|database|table|relation|view|sequence) \"?([\w$ -]+)\"?", str(error)
    )
    what = " ".join(named.groups()) if named else "the schema"
    return StorageUnavailable(
        f"the role may not change {what}: it needs CREATE on the schema, and to own our tables "
        "(InsufficientPrivilegeError 42501)"
    )
