"""Brings the schema to head. Safe from several processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.postgres.database import out_of_reach
from adapters.postgres.servers import NO_SESSION, Servers

_LOCK = 0x636C65726B  # any number, as long as every process takes the same
_LONGEST_WAIT = "2s"


async def migrate(dsn: str) -> None:
    """Every migration not yet applied, in one transaction. Raises `StorageUnavailable`.

    Also when another transaction stands in the way for longer than traffic can wait: try again.
    """
    engine = _engine(dsn)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise out_of_reach(_driven(error)) from None
    except NO_SESSION as error:
        raise out_of_reach(error) from None
    finally:
        await engine.dispose()


def _engine(dsn: str) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": Servers(dsn).connect,
            "timeout": 10,
            # Nothing prepared under a name: behind a pooler it may be somebody else's.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        poolclass=NullPool,
        hide_parameters=True,
    )


def _driven(error: DBAPIError) -> Exception:
    """The driver's own error, which SQLAlchemy wraps twice."""
    cause = error.orig.__cause__ if error.orig else None
    return cause if isinstance(cause, Exception) else error


def _upgrade(connection: Connection) -> None:
    # Others wait here and then find nothing left to do.
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    # Behind a lock that is waited for, all traffic waits too.
    connection.execute(text(f"set local lock_timeout = '{_LONGEST_WAIT}'"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
