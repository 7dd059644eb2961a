"""The composition root: the one room that knows every name. Read it top to bottom."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
from pydantic import SecretStr, field_validator
from structlog.typing import FilteringBoundLogger

from adapters.clerk.api.calls import BULK_LIMITS, REQUEST_LIMITS, ClerkLimits
from adapters.clerk.api.users import ClerkIdentityProvider, clerk_client, default_rate
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys, PinnedKey, SigningKeys
from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from adapters.clerk.translate.replays import ClerkDeliveryReader, SvixFrontDoor
from adapters.postgres.address import parse_address
from adapters.postgres.audit_trail import PostgresAuditTrail
from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.console import PostgresConsoleReads
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.delivery_watch import PostgresDeliveryWatch
from adapters.postgres.exclusive import PostgresExclusive
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.schema import at_head
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.ports import FrontDoor, IdentityProvider
from domain.reconcile import Reconcile
from domain.resolve_user import JitLimits, ResolveUser
from domain.retention import Retain
from domain.sync_now import SyncNow
from domain.sync_user import SyncUserHandler
from service.embedded_store import keep_running
from service.event_loop import watch_the_event_loop
from service.metrics import Metrics
from service.readiness import Readiness
from service.reconciliation import Reconciliation
from service.retention import RESTS, retain_by_the_hour
from service.services import Operations, Services
from service.settings import Settings

OPERATOR_SHARE = 1 / 3
"""Of the calls to Clerk. The rest is the service's, so that both together stay in the quota."""


class _CheckedSettings(Settings):
    """Also refuses what only an adapter can judge, before anything is opened."""

    @field_validator("database_url")
    @classmethod
    def _a_database_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_address(value.get_secret_value())
        return value


def read_settings(**given: Any) -> Settings:
    """The settings of the environment and `.env`, wholly checked. Raises `ValidationError`."""
    return _CheckedSettings(**given)


def notes_on(settings: Settings) -> tuple[str, ...]:
    """What an operator should know of settings that are accepted. No value is in it."""
    url = settings.database_url
    return () if url is None else parse_address(url.get_secret_value()).notes


@asynccontextmanager
async def bootstrap(
    settings: Settings, metrics: Metrics, log: FilteringBoundLogger
) -> AsyncIterator[Services]:
    """Everything built and wired, and taken down again in the opposite order."""
    async with AsyncExitStack() as stack:
        for note in notes_on(settings):
            log.warning("database_url", note=note)
        dsn = await stack.enter_async_context(store_address(settings, log))
        await _bring_schema_to_head(stack, settings, dsn, log)
        database = await _open_database(stack, settings, dsn)
        keys = await _signing_keys(stack, settings)
        clerk = await _identity_provider(stack, settings, metrics, log)
        users = PostgresUserRepository(database)
        sync_user = SyncUserHandler(users)
        resolve_user = ResolveUser(users, clerk, sync_user, _jit_limits(settings), metrics.jit)
        stack.push_async_callback(resolve_user.drain)
        metrics.watch_pool(lambda: database.size, lambda: database.in_use)
        _in_background(stack, watch_the_event_loop(metrics.event_loop_lag))
        watch = PostgresDeliveryWatch(database)
        silence_after = timedelta(seconds=settings.silence_after)
        _in_background(stack, _retention(settings, database, dsn, log))
        if settings.reconcile_every is not None:
            reconciliation = Reconciliation(
                prepare=lambda: _reconcile(settings, database, clerk),
                exclusive=PostgresExclusive(dsn),
                checkpoints=PostgresCheckpoints(database),
                every=timedelta(seconds=settings.reconcile_every),
                metrics=metrics,
                log=log,
            )
            _in_background(stack, reconciliation.run())
        services = Services(
            sync_user=sync_user,
            resolve_user=resolve_user,
            sessions=_session_verifier(settings, keys),
            webhooks=_webhook_verifier(settings),
            journal=PostgresJournal(database),
            silent_users=lambda: watch.silent_users(silence_after),
            readiness=Readiness(
                schema_at_head=lambda: at_head(database),
                keys_loaded=lambda: keys.loaded,
                clerk_answers=lambda: clerk.answers,
                webhooks_arrive=lambda: _none_silent(watch, silence_after),
            ),
            metrics=metrics,
        )
        if settings.has_console:
            console = await _console(stack, settings, services, database, dsn, log=log)
            services = replace(services, console=console)
        yield services


@asynccontextmanager
async def operations(
    settings: Settings, on_unreadable: Callable[[str], None] = lambda _user_id: None
) -> AsyncIterator[Operations]:
    """What an operator's command works with. Asks neither Clerk nor the store anything yet.

    `on_unreadable` hears the id of every user that a page had to leave out.
    """
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(store_address(settings))
        if settings.database_url is None:
            await _migrate(dsn)
        database = await _open_database(stack, settings, dsn)
        users = PostgresUserRepository(database)
        clerk = await _bulk_reader(stack, settings, on_unreadable)
        yield Operations(
            users=users,
            user_table=users,
            journal=PostgresJournal(database),
            identity_provider=clerk,
            sync_user=SyncUserHandler(users),
            webhooks=_webhook_verifier(settings),
            checkpoints=PostgresCheckpoints(database),
            exclusive=PostgresExclusive(dsn),
            schema_at_head=lambda: at_head(database),
            delivery_reader=ClerkDeliveryReader(instance_id=settings.clerk_instance_id),
            delivery_watch=PostgresDeliveryWatch(database),
            retention=PostgresRetention(database),
            clock=clerk,
            load_signing_keys=lambda: _keys_can_be_loaded(settings),
            front_door=await _front_doors(stack, settings),
        )


async def migrate_store(settings: Settings) -> None:
    """The deploy step. Raises `StorageUnavailable`."""
    async with store_address(settings) as dsn:
        await _migrate(dsn)


@asynccontextmanager
async def store_address(
    settings: Settings, log: FilteringBoundLogger | None = None
) -> AsyncIterator[str]:
    """`DATABASE_URL`, or the address of an embedded server that ends with the block.

    With `log` that server is started again when it dies. Its data is kept under `DATA_DIR`.
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
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, server.stop)
        if log is not None:
            _in_background(stack, keep_running(server, EmbeddedPostgresUnavailable, log))
        yield server.url()


async def _bring_schema_to_head(
    stack: AsyncExitStack, settings: Settings, dsn: str, log: FilteringBoundLogger
) -> None:
    if settings.database_url is None:
        await _migrate(dsn)
    elif settings.migrate_on_start:
        _in_background(stack, _migrate_until_done(dsn, log))


async def _migrate(dsn: str) -> None:
    # Only who migrates pays for Alembic: it takes half a second and 30 MB to import.
    from adapters.postgres.migrate import migrate  # noqa: PLC0415

    await migrate(dsn)


async def _migrate_until_done(dsn: str, log: FilteringBoundLogger) -> None:
    while True:
        try:
            await _migrate(dsn)
        except StorageUnavailable as error:
            log.warning("migration_waits", cause=str(error))
            await asyncio.sleep(1)
        else:
            return


async def _open_database(stack: AsyncExitStack, settings: Settings, dsn: str) -> Database:
    limits = PoolLimits(
        size=settings.database_pool_size, statement_cache=settings.database_statement_cache
    )
    database = Database(dsn, limits)
    await database.open()
    stack.push_async_callback(database.close)
    return database


async def _none_silent(watch: PostgresDeliveryWatch, after: timedelta) -> bool:
    return await watch.silent_users(after) == 0


async def _retention(
    settings: Settings, database: Database, dsn: str, log: FilteringBoundLogger
) -> None:
    retain = Retain(PostgresRetention(database), settings.retention, rests=RESTS)
    await retain_by_the_hour(retain, PostgresExclusive(dsn), log)


async def _console(
    stack: AsyncExitStack,
    settings: Settings,
    services: Services,
    database: Database,
    dsn: str,
    *,
    log: FilteringBoundLogger,
) -> object:
    """A `Room`. Its modules are loaded only where there is a console."""
    from service.console.access.access import Access  # noqa: PLC0415
    from service.console.rendering import Templates  # noqa: PLC0415
    from service.console.room import Room  # noqa: PLC0415
    from service.console.runs import Runs  # noqa: PLC0415

    runs = Runs(audit=PostgresAuditTrail(database), exclusive=PostgresExclusive(dsn), log=log)
    stack.push_async_callback(runs.close)
    users = PostgresUserRepository(database)
    clerk = await _bulk_reader(stack, settings, lambda _user_id: None)
    return Room(
        access=Access(settings),
        templates=Templates(),
        runs=runs,
        reads=PostgresConsoleReads(database),
        audit=runs.audit,
        users=users,
        journal=services.journal,
        sessions=services.sessions,
        identity_provider=clerk,
        sync_user=services.sync_user,
        sync_now=SyncNow(
            users=users,
            user_table=users,
            identity_provider=clerk,
            sync_user=services.sync_user,
            instance_id=settings.clerk_instance_id,
        ),
        checkpoints=PostgresCheckpoints(database),
        delivery_reader=ClerkDeliveryReader(instance_id=settings.clerk_instance_id),
        readiness=services.readiness,
        silent_users=services.silent_users,
        reconcile=lambda **how: replace(_reconcile(settings, database, clerk), **how),
    )


def _reconcile(settings: Settings, database: Database, clerk: IdentityProvider) -> Reconcile:
    users = PostgresUserRepository(database)
    return Reconcile(
        users=users,
        user_table=users,
        identity_provider=clerk,
        sync_user=SyncUserHandler(users),
        checkpoints=PostgresCheckpoints(database),
        instance_id=settings.clerk_instance_id,
        repair=True,
    )


async def _front_doors(stack: AsyncExitStack, settings: Settings) -> Callable[[str], FrontDoor]:
    secret = settings.replay_signing_secret or settings.clerk_webhook_signing_secret[0]
    client = await stack.enter_async_context(_http_client())
    return lambda url: SvixFrontDoor(client, url=url, secret=secret.get_secret_value())


async def _keys_can_be_loaded(settings: Settings) -> bool:
    async with AsyncExitStack() as stack:
        keys = await _source_of_keys(stack, settings)
        await keys.load()
        return keys.loaded


async def _signing_keys(stack: AsyncExitStack, settings: Settings) -> SigningKeys:
    keys = await _source_of_keys(stack, settings)
    _in_background(stack, _load_until_there(keys))
    return keys


async def _source_of_keys(stack: AsyncExitStack, settings: Settings) -> SigningKeys:
    if settings.clerk_jwt_key is not None:
        return PinnedKey(settings.clerk_jwt_key.get_secret_value())
    client = await stack.enter_async_context(_http_client())
    keys = JwksKeys(client, settings.jwks_url)
    stack.push_async_callback(keys.close)
    return keys


async def _load_until_there(keys: SigningKeys) -> None:
    while not keys.loaded:
        await keys.load()
        await asyncio.sleep(0 if keys.loaded else 1)


async def _identity_provider(
    stack: AsyncExitStack, settings: Settings, metrics: Metrics, log: FilteringBoundLogger
) -> ClerkIdentityProvider:
    def left_out(user_id: str) -> None:
        log.warning("user_unreadable", user_id=user_id)

    return ClerkIdentityProvider(
        await _clerk_client(stack, settings),
        max_rate=_rate(settings) * (1 - OPERATOR_SHARE),
        limits=_request_limits(settings),
        report=metrics.clerk_call,
        on_unreadable=left_out,
    )


async def _bulk_reader(
    stack: AsyncExitStack, settings: Settings, on_unreadable: Callable[[str], None]
) -> ClerkIdentityProvider:
    return ClerkIdentityProvider(
        await _clerk_client(stack, settings),
        max_rate=_rate(settings) * OPERATOR_SHARE,
        limits=BULK_LIMITS,
        on_unreadable=on_unreadable,
    )


async def _clerk_client(stack: AsyncExitStack, settings: Settings) -> httpx.AsyncClient:
    secret_key = settings.clerk_secret_key.get_secret_value()
    client = clerk_client(secret_key, settings.clerk_api_url, verify=_authorities())
    return await stack.enter_async_context(client)


def _http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(follow_redirects=False, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """For all clients: to read the certificate authorities takes as long as to open the store."""
    return httpx.create_ssl_context()


def _request_limits(settings: Settings) -> ClerkLimits:
    """Whoever allows a first request more time allows it to Clerk; one try takes half at most."""
    allowed = settings.jit_deadline
    return replace(REQUEST_LIMITS, deadline=allowed, attempt=allowed / 2)


def _rate(settings: Settings) -> float:
    """What the service and an operator's command together may ask of Clerk in 10 seconds."""
    return settings.clerk_rate_limit or default_rate(settings.clerk_secret_key.get_secret_value())


def _session_verifier(settings: Settings, keys: SigningKeys) -> ClerkSessionVerifier:
    return ClerkSessionVerifier(
        keys,
        issuer=settings.issuer,
        authorized_parties=frozenset(settings.clerk_authorized_parties),
        allow_missing_azp=settings.clerk_missing_azp == "allow",
        audience=settings.clerk_audience,
    )


def _webhook_verifier(settings: Settings) -> ClerkWebhookVerifier:
    secrets = [secret.get_secret_value() for secret in settings.clerk_webhook_signing_secret]
    return ClerkWebhookVerifier(secrets, instance_id=settings.clerk_instance_id)


def _jit_limits(settings: Settings) -> JitLimits:
    return JitLimits(
        deadline=settings.jit_deadline,
        max_fetches=settings.jit_max_fetches,
        unknown_for=settings.jit_unknown_for,
    )


def _in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Runs along, and ends at the latest when the stack does."""
    task = asyncio.ensure_future(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)
