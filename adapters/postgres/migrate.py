"""Brings the schema to head. Safe from several processes at once."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres.database import translated

_LOCK = 0x636C65726B  # any number, as long as every process takes the same


async def migrate(dsn: str) -> None:
    """Every migration not yet applied, in one transaction. Raises `StorageUnavailable`."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, timeout=10),
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise translated(_driven(error)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise translated(error) from None
    finally:
        await engine.dispose()


def _driven(error: DBAPIError) -> Exception:
    """The driver's own error, which SQLAlchemy wraps twice."""
    cause = error.orig.__cause__ if error.orig else None
    return cause if isinstance(cause, Exception) else error


def _upgrade(connection: Connection) -> None:
    # Others wait here and then find nothing left to do; readers are not held up for long.
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("set local lock_timeout = '10s'"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
