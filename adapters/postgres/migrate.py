"""Brings the schema to head, and says whether it is there. Safe from several processes at once."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres.database import Database, translated

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


def head() -> str:
    """The revision the code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise LookupError("no migrations found")
    return revision


async def at_head(database: Database, wanted: str) -> bool:
    """Whether the store's schema is the one `wanted`. Raises `StorageUnavailable`."""
    applied = await database.run(
        lambda connection: connection.fetchval(
            "select case when to_regclass('alembic_version') is not null then true end"
        )
    )
    if applied is None:
        return False
    revision: str | None = await database.run(
        lambda connection: connection.fetchval("select version_num from alembic_version")
    )
    return revision == wanted


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
