"""Brings the schema to head. Safe from several processes at once, and while traffic goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres.database import out_of_reach
from adapters.postgres.servers import NO_SESSION, Servers

_LOCK = 0x636C65726B
"""The advisory lock of a migration: any number, the same in every process."""

_ASK_AGAIN = 0.2
"""Seconds between two attempts to get that lock."""

_LONGEST_WAIT = "2s"
"""How long a migration waits for a table's lock: all traffic waits behind it."""


async def migrate(dsn: str) -> None:
    """Apply every migration that is missing, each in a transaction of its own.

    Raises `StorageUnavailable`, also when another transaction holds a table's lock for too long:
    try again.
    """
    servers = Servers(dsn)
    engine = _engine(servers)
    try:
        async with _locked(servers), engine.connect() as connection:
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise out_of_reach(_driver_error(error)) from None
    except NO_SESSION as error:
        raise out_of_reach(error) from None
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
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                break
            await connection.execute("rollback")
            await asyncio.sleep(_ASK_AGAIN)
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


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
