"""Brings the schema to head. Safe from several processes at once, and while traffic goes on."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres import upgrade
from adapters.postgres.database import out_of_reach
from adapters.postgres.servers import NO_SESSION, Servers
from domain.errors import StorageUnavailable
from domain.schema import SchemaState

Answer = TypeVar("Answer")

_LONGEST_WAIT = "2s"
"""How long a migration waits for a table's lock: all traffic waits behind it."""


async def migrate(dsn: str, schema: str | None = None) -> SchemaState:
    """Apply every migration that is missing, each in a transaction of its own.

    `schema` is made if it is missing. A schema that is ahead stays as it is. Raises
    `SchemaRefused`, or `StorageUnavailable`, also when another transaction holds a table's lock
    for too long: then try again.
    """
    return await _run(Servers(dsn, schema), partial(upgrade.bring_to_head, commits=True))


async def missing_sql(dsn: str, schema: str | None = None) -> str:
    """The SQL that `migrate` would run now, for those whose database administrator runs it.

    Empty if nothing is missing. Raises as `migrate` does.
    """
    return await _run(Servers(dsn, schema), upgrade.missing_sql)


async def _run(servers: Servers, work: Callable[[Connection, str | None], Answer]) -> Answer:
    engine = _engine(servers)
    try:
        async with _locked(servers), engine.connect() as connection:
            return await connection.run_sync(work, servers.schema)
    except DBAPIError as error:
        raise _in_words(_driver_error(error)) from None
    except NO_SESSION as error:
        raise _in_words(error) from None
    finally:
        await engine.dispose()


@asynccontextmanager
async def _locked(servers: Servers) -> AsyncIterator[None]:
    """One migration at a time, by a lock in a transaction of a connection of its own.

    In a transaction, because a pooler lends a connection for no longer. A process that waits asks
    again and again: one that waited inside a statement would keep a snapshot, and an index that is
    built concurrently waits for all snapshots.
    """
    connection = await servers.connect(timeout=10, statement_cache_size=0)
    try:
        while True:
            await connection.execute("begin")
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", upgrade.LOCK):
                break
            await connection.execute("rollback")
            await asyncio.sleep(upgrade.ASK_AGAIN)
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        yield
    finally:
        await connection.close(timeout=5)


def _engine(servers: Servers) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": servers.connect,
            "timeout": 10,
            # No named prepared statements: behind a pooler the name may be another client's.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "begin", _limit_the_wait)
    return engine


def _limit_the_wait(connection: Connection) -> None:
    connection.exec_driver_sql(f"set local lock_timeout = '{_LONGEST_WAIT}'")


def _driver_error(error: DBAPIError) -> Exception:
    """The driver's own error, which SQLAlchemy wraps twice."""
    cause = error.orig.__cause__ if error.orig else None
    return cause if isinstance(cause, Exception) else error


def _in_words(error: Exception) -> StorageUnavailable:
    if not isinstance(error, asyncpg.InsufficientPrivilegeError):
        return out_of_reach(error)
    # The server's message names no more than the object: no row is in it.
    named = re.search(
        r"(schema|database|table|relation|view|sequence) \"?([\w$ -]+)\"?", str(error)
    )
    what = " ".join(named.groups()) if named else "the schema"
    return StorageUnavailable(
        f"the role may not change {what}: it needs CREATE on the schema, and to own our tables "
        "(InsufficientPrivilegeError 42501)"
    )
