"""Build the parts for Postgres: its address, its schema, and the ports that share one pool."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from adapters.postgres.adoption import PostgresAdoption
from adapters.postgres.audit_trail import PostgresAuditTrail
from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.console import PostgresConsoleReads
from adapters.postgres.console_sessions import PostgresConsoleSessions
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.exclusive import PostgresExclusive
from adapters.postgres.history import PostgresHistory
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.numbering import Numbering
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.schema import schema_state
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.history import notice
from domain.instance import Instance, OfOneInstance
from domain.schema import SchemaState
from service.jobs import Jobs, keep_running
from service.services import Store
from service.settings import Settings, StoreSettings

MOVING = "the positions of changes have to move first, as the store was restored: wait some minutes"

_FOR_ITSELF = (
    "sslmode=disable&sslnegotiation=postgres&channel_binding=disable&gssencmode=disable"
    "&sslsni=1&require_auth=&target_session_attrs=any"
)
"""Options of an embedded server's address. libpq's variables are about other servers."""


@asynccontextmanager
async def store_address(settings: StoreSettings, jobs: Jobs | None = None) -> AsyncIterator[str]:
    """`DATABASE_URL`, or the address of an embedded server that ends with the block.

    With `jobs` that server is started again when it dies. Its data is kept under `DATA_DIR`.
    Without, a command asks: it takes the server that a running service has on that directory.
    Raises `StorageUnavailable` when it cannot be started.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    # Here, because nothing else needs it, and it does not run everywhere.
    from adapters.embedded_postgres import (  # noqa: PLC0415
        EmbeddedPostgres,
        EmbeddedPostgresUnavailable,
    )

    if jobs is None and (running := EmbeddedPostgres.running_at(settings.data_dir)):
        yield f"{running}?{_FOR_ITSELF}"
        return
    server = EmbeddedPostgres(data_dir=settings.data_dir)
    try:
        await asyncio.to_thread(server.start)
    except EmbeddedPostgresUnavailable as error:
        raise StorageUnavailable(str(error)) from error
    except OSError as error:
        raise StorageUnavailable(f"DATA_DIR cannot be used: {error.strerror}") from error
    try:
        if jobs is not None:
            unavailable, log = EmbeddedPostgresUnavailable, jobs.log
            jobs.start("embedded postgres", lambda: keep_running(server, unavailable, log))
        yield f"{server.url()}?{_FOR_ITSELF}"
    finally:
        await asyncio.to_thread(server.stop)


async def open_with_jobs(
    stack: AsyncExitStack, settings: Settings, jobs: Jobs
) -> tuple[str, Database]:
    """The store's address and its pool. An embedded store is at the head of our schema.

    The jobs are closed before the pool, and before the connections that the stack opened earlier:
    they use them. Raises `StorageUnavailable`.
    """
    dsn = await stack.enter_async_context(store_address(settings, jobs))
    database = await open_database(stack, settings, dsn)
    stack.push_async_callback(jobs.close)
    if settings.database_url is None:
        await migrate_at(dsn, settings)
    return dsn, database


def embedded_address(data_dir: Path) -> str | None:
    """The address of the embedded server that a process runs on that directory, if one does."""
    from adapters.embedded_postgres import EmbeddedPostgres  # noqa: PLC0415 - as above

    return EmbeddedPostgres.running_at(data_dir)


async def open_database(stack: AsyncExitStack, settings: Settings, dsn: str) -> Database:
    limits = PoolLimits(
        size=settings.database_pool_size, statement_cache=settings.database_statement_cache
    )
    database = Database(dsn, limits, settings.database_schema)
    await database.open()
    stack.push_async_callback(database.close)
    return database


def store_of(
    database: Database,
    dsn: str,
    instance: Instance,
    went_back: Callable[[str], None] = lambda _reason: None,
) -> Store:
    """`went_back` is called if the store turns out to be restored when a position is needed."""
    users = PostgresUserRepository(database)
    journal = PostgresJournal(database)
    history = PostgresHistory(database)

    # In a restored store, the next position would be one that was given before. A request may wait
    # for this: where moving the positions takes longer, the job that watches the history does it.
    async def compare_with_the_mark() -> None:
        try:
            async with asyncio.timeout(database.limits.deadline):
                reason = await notice(history)
        except TimeoutError:
            raise StorageUnavailable(MOVING) from None
        if reason:
            went_back(reason)

    numbering = Numbering(database, compare_first=compare_with_the_mark)
    changes = PostgresChangeLog(database, numbering)
    subscriptions = PostgresSubscriptions(database, changes)
    return Store(
        users=OfOneInstance(users, instance),
        user_table=users,
        journal=journal,
        journal_pages=journal,
        retention=PostgresRetention(database),
        watch=journal,
        checkpoints=PostgresCheckpoints(database),
        history=history,
        exclusive=PostgresExclusive(dsn, database.schema),
        changes=changes,
        subscriptions=subscriptions,
        desk=subscriptions,
        audit=PostgresAuditTrail(database),
        reads=PostgresConsoleReads(database),
        console_sessions=PostgresConsoleSessions(database),
        adoption=PostgresAdoption(dsn, database.schema),
        schema=lambda: schema_state(database),
    )


async def migrate_store(settings: StoreSettings) -> SchemaState:
    """Bring the schema of the store to head. Raises `SchemaRefused` or `StorageUnavailable`."""
    async with store_address(settings) as dsn:
        return await migrate_at(dsn, settings)


async def migrate_at(dsn: str, settings: StoreSettings) -> SchemaState:
    """Bring the schema at `dsn` to head. Raises `SchemaRefused` or `StorageUnavailable`."""
    # Imported only here: Alembic takes half a second and 30 MB.
    from adapters.postgres.migrate import migrate  # noqa: PLC0415

    return await migrate(dsn, settings.database_schema)


async def missing_sql(settings: StoreSettings) -> str:
    """The SQL that `migrate_store` would run, if any.

    Raises `SchemaRefused` or `StorageUnavailable`.
    """
    from adapters.postgres import migrate  # noqa: PLC0415 - see `migrate_at`

    async with store_address(settings) as dsn:
        return await migrate.missing_sql(dsn, settings.database_schema)


def all_sql(settings: StoreSettings) -> str:
    """The SQL of all migrations, for an empty database."""
    from adapters.postgres import upgrade  # noqa: PLC0415 - see `migrate_at`

    return upgrade.all_sql(settings.database_schema)
