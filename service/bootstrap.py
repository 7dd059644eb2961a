"""The composition root: the one room that knows every name. Read it top to bottom."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr, field_validator
from structlog.typing import FilteringBoundLogger

from adapters.clerk.api.calls import BULK_LIMITS, REQUEST_LIMITS, ClerkLimits, Report
from adapters.clerk.api.front_door import SvixFrontDoor
from adapters.clerk.api.users import ClerkIdentityProvider, clerk_client, default_rate
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys, PinnedKey, SigningKeys
from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from adapters.clerk.translate.delivery import ClerkDeliveryReader
from adapters.postgres.address import is_schema_name, parse_address
from adapters.postgres.audit_trail import PostgresAuditTrail
from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.console import PostgresConsoleReads
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.delivery_watch import PostgresDeliveryWatch
from adapters.postgres.exclusive import PostgresExclusive
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.schema import schema_state
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.resolve_user import JitLimits, ResolveUser
from domain.retention import Retain
from domain.schema import SchemaState
from service.extras import extra
from service.jobs import (
    RETENTION_RESTS,
    Jobs,
    keep_running,
    load_signing_keys,
    reconcile_regularly,
    retain_by_the_hour,
    watch_event_loop,
)
from service.metrics import Metrics
from service.readiness import Readiness
from service.services import Clerk, Operations, Services, Store, reconcile_of, sync_now_of
from service.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from service.console.room import Room

OPERATOR_SHARE = 1 / 3
"""The part of Clerk's quota for operators and long runs. Requests have the rest."""


class _CheckedStoreSettings(StoreSettings):
    """Also refuses what only an adapter can judge, before anything is opened."""

    @field_validator("database_url")
    @classmethod
    def _a_database_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_address(value.get_secret_value())
        return value

    @field_validator("database_schema")
    @classmethod
    def _a_schema(cls, value: str | None) -> str | None:
        if value is not None and not is_schema_name(value):
            raise ValueError("give the name of one schema: letters, digits, _, $, - and spaces")
        return value


class _CheckedSettings(_CheckedStoreSettings, Settings):
    """All settings, checked in the same way."""


def read_store_settings(**given: Any) -> StoreSettings:
    """Those that `migrate` needs: a deploy step has no key of Clerk's. Raises `ValidationError`."""
    return _CheckedStoreSettings(**given)


def read_settings(**given: Any) -> Settings:
    """The settings of the environment and `.env`, wholly checked. Raises `ValidationError`."""
    return _CheckedSettings(**given)


def notes_on(settings: Settings) -> tuple[str, ...]:
    """What an operator should know of settings that are accepted. No value is in it."""
    url = settings.database_url
    return () if url is None else parse_address(url.get_secret_value()).notes


def works_on(settings: StoreSettings) -> str:
    """The database and the Clerk instance of these settings, without a user or a password."""
    return ", ".join([_database_of(settings), *_instance_of(settings)])


def _database_of(settings: StoreSettings) -> str:
    if settings.database_url is None:
        return f"the embedded database in {settings.data_dir}"
    address = parse_address(settings.database_url.get_secret_value())
    hosts = ",".join(f"{host}:{port}" for host, port in address.hosts) or "the default host"
    schema = settings.database_schema or address.schema
    name = f"database {address.database or 'of the default name'} on {hosts}"
    return f"{name}, schema {schema}" if schema else name


def _instance_of(settings: StoreSettings) -> list[str]:
    if not isinstance(settings, Settings):
        return []
    return [f"Clerk instance {settings.clerk_instance_id or urlsplit(settings.issuer).netloc}"]


@asynccontextmanager
async def bootstrap(
    settings: Settings, metrics: Metrics, log: FilteringBoundLogger
) -> AsyncIterator[Services]:
    """Everything built and wired, and taken down again in the opposite order."""
    async with AsyncExitStack() as stack:
        for note in notes_on(settings):
            log.warning("database_url", note=note)
        jobs = Jobs(metrics, log)
        dsn = await stack.enter_async_context(store_address(settings, jobs))
        database = await _open_database(stack, settings, dsn)
        stack.push_async_callback(jobs.close)  # before the store that they use is closed
        if settings.database_url is None:
            await _migrate(dsn, settings)
        elif settings.migrate_on_start:
            jobs.start("migrate", lambda: _migrate(dsn, settings))
        store = _store(database, dsn)
        keys = await _signing_keys(stack, settings)
        requests = await _identity_provider(
            stack,
            settings,
            share=1 - OPERATOR_SHARE,
            limits=_request_limits(settings),
            report=metrics.clerk_call,
        )
        clerk = await _clerk(stack, settings)
        resolve_user = ResolveUser(store.users, requests, _jit_limits(settings), metrics.jit)
        stack.push_async_callback(resolve_user.drain)
        silence_after = timedelta(seconds=settings.silence_after)
        services = Services(
            store=store,
            clerk=clerk,
            sessions=_session_verifier(settings, keys),
            resolve_user=resolve_user,
            silence_after=silence_after,
            readiness=Readiness(
                schema=store.schema,
                keys_loaded=lambda: keys.loaded,
                clerk_answers=lambda: requests.answers,
                silent_users=lambda: store.watch.silent_users(silence_after),
                failing_jobs=lambda: frozenset(jobs.failing),
            ),
            metrics=metrics,
        )
        metrics.watch_pool(lambda: database.size, lambda: database.in_use)
        jobs.start("event loop", lambda: watch_event_loop(metrics.event_loop_lag))
        jobs.start("signing keys", lambda: load_signing_keys(keys, log))
        retain = Retain(store.retention, settings.retention, rests=RETENTION_RESTS)
        jobs.start("retention", lambda: retain_by_the_hour(retain, store.exclusive, log))
        if settings.reconcile_every is not None:
            every = timedelta(seconds=settings.reconcile_every)
            reconcile = reconcile_of(store, clerk)
            jobs.start(
                "reconcile",
                lambda: reconcile_regularly(
                    reconcile,
                    store.exclusive,
                    store.checkpoints,
                    every=every,
                    metrics=metrics,
                    log=log,
                ),
            )
        if settings.has_console:
            services = replace(services, console=_console(stack, settings, services, log))
        yield services


@asynccontextmanager
async def operations(settings: Settings) -> AsyncIterator[Operations]:
    """What an operator's command works with. Asks neither Clerk nor the store anything yet."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(store_address(settings))
        if settings.database_url is None:
            await _migrate(dsn, settings)
        secret = settings.replay_signing_secret or settings.clerk_webhook_signing_secret[0]
        client = await stack.enter_async_context(_http_client())
        yield Operations(
            store=_store(await _open_database(stack, settings, dsn), dsn),
            clerk=await _clerk(stack, settings),
            signing_keys_can_be_loaded=lambda: _keys_can_be_loaded(settings),
            front_door=lambda url: SvixFrontDoor(client, url=url, secret=secret.get_secret_value()),
        )


async def migrate_store(settings: StoreSettings) -> SchemaState:
    """The deploy step. Raises `StorageUnavailable`."""
    async with store_address(settings) as dsn:
        return await _migrate(dsn, settings)


async def missing_sql(settings: StoreSettings) -> str:
    """The SQL that `migrate_store` would run, if any. Raises `StorageUnavailable`."""
    from adapters.postgres import migrate  # noqa: PLC0415 - see `_migrate`

    async with store_address(settings) as dsn:
        return await migrate.missing_sql(dsn, settings.database_schema)


def all_sql(settings: StoreSettings) -> str:
    """The SQL of all migrations, for an empty database."""
    from adapters.postgres import upgrade  # noqa: PLC0415 - see `_migrate`

    return upgrade.all_sql(settings.database_schema)


@asynccontextmanager
async def store_address(settings: StoreSettings, jobs: Jobs | None = None) -> AsyncIterator[str]:
    """`DATABASE_URL`, or the address of an embedded server that ends with the block.

    With `jobs` that server is started again when it dies. Its data is kept under `DATA_DIR`.
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

    server = EmbeddedPostgres(data_dir=settings.data_dir)
    try:
        await asyncio.to_thread(server.start)
    except EmbeddedPostgresUnavailable as error:
        raise StorageUnavailable(str(error)) from error
    try:
        if jobs is not None:
            unavailable, log = EmbeddedPostgresUnavailable, jobs.log
            jobs.start("embedded postgres", lambda: keep_running(server, unavailable, log))
        yield server.url()
    finally:
        await asyncio.to_thread(server.stop)


async def _migrate(dsn: str, settings: StoreSettings) -> SchemaState:
    # Imported only here: Alembic takes half a second and 30 MB.
    from adapters.postgres.migrate import migrate  # noqa: PLC0415

    return await migrate(dsn, settings.database_schema)


async def _open_database(stack: AsyncExitStack, settings: Settings, dsn: str) -> Database:
    limits = PoolLimits(
        size=settings.database_pool_size, statement_cache=settings.database_statement_cache
    )
    database = Database(dsn, limits, settings.database_schema)
    await database.open()
    stack.push_async_callback(database.close)
    return database


def _store(database: Database, dsn: str) -> Store:
    users = PostgresUserRepository(database)
    journal = PostgresJournal(database)
    return Store(
        users=users,
        user_table=users,
        journal=journal,
        journal_pages=journal,
        retention=PostgresRetention(database),
        watch=PostgresDeliveryWatch(database),
        checkpoints=PostgresCheckpoints(database),
        exclusive=PostgresExclusive(dsn, database.schema),
        audit=PostgresAuditTrail(database),
        reads=PostgresConsoleReads(database),
        schema=lambda: schema_state(database),
    )


async def _clerk(stack: AsyncExitStack, settings: Settings) -> Clerk:
    secrets = [s.get_secret_value() for s in settings.clerk_webhook_signing_secret]
    bulk = await _identity_provider(stack, settings, share=OPERATOR_SHARE, limits=BULK_LIMITS)
    return Clerk(
        webhooks=ClerkWebhookVerifier(secrets, instance_id=settings.clerk_instance_id),
        delivery_reader=ClerkDeliveryReader(instance_id=settings.clerk_instance_id),
        bulk=bulk,
        clock=bulk,
        instance_id=settings.clerk_instance_id,
    )


def _console(
    stack: AsyncExitStack, settings: Settings, services: Services, log: FilteringBoundLogger
) -> "Room":
    # Imported only where there is a console.
    with extra("console", "The console"):
        from service.console.access.access import Access  # noqa: PLC0415
        from service.console.rendering import Templates  # noqa: PLC0415
        from service.console.room import Room  # noqa: PLC0415
        from service.console.runs import Runs  # noqa: PLC0415

    store = services.store
    runs = Runs(audit=store.audit, exclusive=store.exclusive, log=log)
    stack.push_async_callback(runs.close)
    return Room(
        access=Access(settings),
        templates=Templates(),
        runs=runs,
        services=services,
        sync_now=sync_now_of(store, services.clerk),
        reconcile=reconcile_of(store, services.clerk),
    )


async def _keys_can_be_loaded(settings: Settings) -> bool:
    async with AsyncExitStack() as stack:
        keys = await _signing_keys(stack, settings)
        await keys.load()
        return keys.loaded


async def _signing_keys(stack: AsyncExitStack, settings: Settings) -> SigningKeys:
    if settings.clerk_jwt_key is not None:
        return PinnedKey(settings.clerk_jwt_key.get_secret_value())
    client = await stack.enter_async_context(_http_client())
    keys = JwksKeys(client, settings.jwks_url)
    stack.push_async_callback(keys.close)
    return keys


async def _identity_provider(
    stack: AsyncExitStack,
    settings: Settings,
    *,
    share: float,
    limits: ClerkLimits,
    report: Report = lambda _operation, _status: None,
) -> ClerkIdentityProvider:
    """`share` is the part of Clerk's quota that this one may use."""
    secret_key = settings.clerk_secret_key.get_secret_value()
    client = clerk_client(secret_key, settings.clerk_api_url, verify=_authorities())
    return ClerkIdentityProvider(
        await stack.enter_async_context(client),
        max_rate=(settings.clerk_rate_limit or default_rate(secret_key)) * share,
        limits=limits,
        report=report,
    )


def _http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(follow_redirects=False, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """One for all clients: to read it takes as long as to open the store."""
    return httpx.create_ssl_context()


def _request_limits(settings: Settings) -> ClerkLimits:
    """A longer deadline for first requests is a longer deadline for Clerk; a try has half of it."""
    allowed = settings.jit_deadline
    return replace(REQUEST_LIMITS, deadline=allowed, attempt=allowed / 2)


def _session_verifier(settings: Settings, keys: SigningKeys) -> ClerkSessionVerifier:
    return ClerkSessionVerifier(
        keys,
        issuer=settings.issuer,
        authorized_parties=frozenset(settings.clerk_authorized_parties),
        allow_missing_azp=settings.clerk_missing_azp == "allow",
        audience=settings.clerk_audience,
    )


def _jit_limits(settings: Settings) -> JitLimits:
    return JitLimits(
        deadline=settings.jit_deadline,
        max_fetches=settings.jit_max_fetches,
        unknown_for=settings.jit_unknown_for,
    )
