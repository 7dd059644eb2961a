"""The composition root: the one room that knows every name. Read it top to bottom."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
from structlog.typing import FilteringBoundLogger

from adapters.clerk.api import ClerkIdentityProvider, clerk_client, default_rate
from adapters.clerk.sessions import ClerkSessionVerifier
from adapters.clerk.signing_keys import JwksKeys, PinnedKey, SigningKeys
from adapters.clerk.webhooks import ClerkWebhookVerifier
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.migrate import at_head, head, migrate
from adapters.postgres.users import PostgresUserRepository
from domain.errors import StorageUnavailable
from domain.resolve_user import JitLimits, ResolveUser
from domain.sync_user import SyncUserHandler
from service.metrics import Metrics
from service.readiness import Readiness
from service.services import Services
from service.settings import Settings


@asynccontextmanager
async def bootstrap(
    settings: Settings, metrics: Metrics, log: FilteringBoundLogger
) -> AsyncIterator[Services]:
    """Everything built and wired, and taken down again in the opposite order."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(store_address(settings))
        await _bring_schema_to_head(stack, settings, dsn, log)
        database = await _open_database(stack, settings, dsn)
        keys = await _signing_keys(stack, settings)
        clerk = await _identity_provider(stack, settings, metrics)
        users = PostgresUserRepository(database)
        sync_user = SyncUserHandler(users)
        resolve_user = ResolveUser(users, clerk, sync_user, _jit_limits(settings), metrics.jit)
        stack.push_async_callback(resolve_user.drain)
        metrics.watch_pool(lambda: database.size, lambda: database.in_use)
        wanted = head()
        yield Services(
            sync_user=sync_user,
            resolve_user=resolve_user,
            sessions=_session_verifier(settings, keys),
            webhooks=_webhook_verifier(settings),
            journal=PostgresJournal(database),
            readiness=Readiness(
                schema_at_head=lambda: at_head(database, wanted),
                keys_loaded=lambda: keys.loaded,
                clerk_answers=lambda: clerk.answers,
            ),
            metrics=metrics,
        )


async def migrate_store(settings: Settings) -> None:
    """The deploy step. Raises `StorageUnavailable`."""
    async with store_address(settings) as dsn:
        await migrate(dsn)


@asynccontextmanager
async def store_address(settings: Settings) -> AsyncIterator[str]:
    """`DATABASE_URL`, or an embedded server that lives as long as we do and keeps its data."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = EmbeddedPostgres(data_dir=settings.data_dir / "postgres")
    await asyncio.to_thread(server.start)
    try:
        yield server.url()
    finally:
        await asyncio.to_thread(server.stop)


async def _bring_schema_to_head(
    stack: AsyncExitStack, settings: Settings, dsn: str, log: FilteringBoundLogger
) -> None:
    if settings.database_url is None:
        await migrate(dsn)
    elif settings.migrate_on_start:
        _in_background(stack, _migrate_until_done(dsn, log))


async def _migrate_until_done(dsn: str, log: FilteringBoundLogger) -> None:
    while True:
        try:
            await migrate(dsn)
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


async def _signing_keys(stack: AsyncExitStack, settings: Settings) -> SigningKeys:
    if settings.clerk_jwt_key is not None:
        return PinnedKey(settings.clerk_jwt_key.get_secret_value())
    client = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False))
    keys = JwksKeys(client, settings.jwks_url)
    stack.push_async_callback(keys.close)
    _in_background(stack, _load_until_there(keys))
    return keys


async def _load_until_there(keys: SigningKeys) -> None:
    while not keys.loaded:
        await keys.load()
        await asyncio.sleep(0 if keys.loaded else 1)


async def _identity_provider(
    stack: AsyncExitStack, settings: Settings, metrics: Metrics
) -> ClerkIdentityProvider:
    secret_key = settings.clerk_secret_key.get_secret_value()
    client = clerk_client(secret_key, settings.clerk_api_url)
    await stack.enter_async_context(client)
    return ClerkIdentityProvider(
        client,
        max_rate=settings.clerk_rate_limit or default_rate(secret_key),
        report=metrics.clerk_call,
    )


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
