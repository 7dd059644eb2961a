"""The composition root: builds all parts and connects them. Read it top to bottom."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from adapters.clerk.api.webhook_endpoint import SvixWebhookEndpoint
from adapters.clerk.prove.signing_keys import SigningKeys
from domain.change_feed import ChangeFeed
from domain.instance import Instance
from domain.newest_position import NewestPosition
from domain.resolve_user import JitLimits, ResolveUser
from domain.retention import Retain
from service.bootstrap.clerk import (
    OPERATOR_SHARE,
    Transport,
    clerk_of,
    http_client,
    identity_provider,
    request_limits,
    session_verifier,
    signing_key_ids,
    signing_keys,
)
from service.bootstrap.settings import checked, notes_on
from service.bootstrap.store import (
    migrate_at,
    open_database,
    open_with_jobs,
    store_address,
    store_of,
)
from service.bootstrap.targets import targets_of
from service.changes import Changes
from service.comparisons import poll_regularly, reconcile_regularly
from service.deliveries import Deliveries
from service.extras import MissingExtra, extra
from service.figures import read_figures
from service.jobs import (
    RETENTION_PAUSE_RATIO,
    Jobs,
    keep_signing_keys,
    know_instance,
    retain_by_the_hour,
    tell_that_it_went_back,
    watch_event_loop,
    watch_history,
)
from service.metrics import Metrics
from service.readiness import Readiness
from service.services import (
    Operations,
    Services,
    comparing_of,
    polling_of,
    reconcile_of,
    sync_now_of,
)
from service.settings import Settings
from service.shared_look import SharedLook

if TYPE_CHECKING:
    from service.console.room import Room
    from service.traces import Traces


@asynccontextmanager
async def bootstrap(
    settings: Settings,
    metrics: Metrics,
    log: FilteringBoundLogger,
    *,
    transport: Transport = None,
    changes: Changes | None = None,
    traces: "Traces | None" = None,
) -> AsyncIterator[Services]:
    """Build and connect all parts, and close them in the opposite order.

    `transport` replaces the network to Clerk, in tests. `changes` are the handlers that this
    process runs.
    """
    settings = checked(settings)
    async with AsyncExitStack() as stack:
        for note in notes_on(settings):
            log.warning("database_url", note=note)
        instance = Instance(settings.clerk_instance_id)
        keys = await signing_keys(stack, settings, transport)
        requests = await identity_provider(
            stack,
            settings,
            share=1 - OPERATOR_SHARE,
            limits=request_limits(settings),
            report=metrics.clerk_call,
            transport=transport,
        )
        clerk = await clerk_of(
            stack, settings, instance, report=metrics.clerk_call, transport=transport
        )
        jobs = Jobs(metrics, log)
        dsn, database = await open_with_jobs(stack, settings, jobs)
        if settings.database_url is not None and settings.migrate_on_start:
            jobs.start("migrate", lambda: migrate_at(dsn, settings))
        store = store_of(database, dsn, instance, partial(tell_that_it_went_back, log))
        if traces is not None:
            store, requests = traces.of_store(store), traces.of_clerk(requests)
        resolve_user = ResolveUser(store.users, requests, _jit_limits(settings), metrics.jit)
        stack.push_async_callback(resolve_user.drain)
        silence_after = timedelta(seconds=settings.silence_after)
        polling = polling_of(settings, store)
        newest = NewestPosition(store.changes)
        services = Services(
            store=store,
            clerk=clerk,
            sessions=session_verifier(settings, keys),
            resolve_user=resolve_user,
            silence_after=silence_after,
            polling=polling,
            readiness=Readiness(
                schema=store.schema,
                keys_loaded=lambda: keys.loaded,
                clerk_answers=lambda: requests.answers,
                silent_users=lambda: store.watch.silent_users(silence_after),
                failing_jobs=lambda: jobs.failing,
                polling=polling,
                comparing=comparing_of(settings, store),
                contradiction=lambda: instance.contradiction,
                went_back=store.history.unrepaired,
            ),
            metrics=metrics,
            feed=ChangeFeed(store.changes, store.user_table, newest),
            changes_token=_text(settings.changes_token),
            figures=SharedLook(partial(read_figures, store, metrics, polling, silence_after)),
        )
        jobs.start("newest change", newest.watch)
        metrics.watch_keys(lambda: keys.age)
        metrics.watch_pool(lambda: database.size, lambda: database.in_use)
        _start_jobs(jobs, settings, services, keys)
        targets = await targets_of(stack, settings, store, clerk, changes=changes, traces=traces)
        deliveries = Deliveries(targets, store, newest, metrics, log)
        deliveries.start(jobs)
        stack.push_async_callback(deliveries.stop, settings.shutdown_seconds)
        if settings.has_console:
            # Without the extra, `mount_console` has raised this, or the host mounts no console.
            with suppress(MissingExtra):
                services = replace(services, console=_console(stack, settings, services, log))
        yield services


@asynccontextmanager
async def operations(settings: Settings) -> AsyncIterator[Operations]:
    """The parts that an operator's command works with. Calls neither Clerk nor the store, but
    without DATABASE_URL starts the embedded database and migrates it.
    """
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(store_address(settings))
        if settings.database_url is None:
            await migrate_at(dsn, settings)
        instance = Instance(settings.clerk_instance_id)
        yield Operations(
            store=store_of(await open_database(stack, settings, dsn), dsn, instance),
            clerk=await clerk_of(stack, settings, instance),
            signing_key_ids=lambda: signing_key_ids(settings),
            webhook_endpoint=partial(_webhook_endpoint, stack, settings),
        )


def _webhook_endpoint(stack: AsyncExitStack, settings: Settings, url: str) -> SvixWebhookEndpoint:
    ours = next(iter(settings.clerk_webhook_signing_secret), None)
    secret = settings.replay_signing_secret or ours
    if secret is None:
        raise ValueError("there is no secret to sign with: set REPLAY_SIGNING_SECRET")
    client = http_client(settings, url)
    stack.push_async_callback(client.aclose)
    return SvixWebhookEndpoint(client, secret.get_secret_value(), url)


def _start_jobs(jobs: Jobs, settings: Settings, services: Services, keys: SigningKeys) -> None:
    store, metrics, log = services.store, services.metrics, jobs.log
    jobs.start("event loop", lambda: watch_event_loop(metrics.event_loop_lag))
    jobs.start("signing keys", lambda: keep_signing_keys(keys, log))
    jobs.start("clerk instance", lambda: know_instance(services.clerk, store, log))
    jobs.start("store history", lambda: watch_history(store.history, log))
    retain = Retain(store.retention, store.changes, settings.retention, rests=RETENTION_PAUSE_RATIO)
    jobs.start("retention", lambda: retain_by_the_hour(retain, store.exclusive, log))
    comparison = (reconcile_of(store, services.clerk), store.exclusive, store.checkpoints)
    if settings.reconcile_every is not None:
        every = timedelta(seconds=settings.reconcile_every)
        metrics.reconcile_is_regular(every)
        jobs.start("reconcile", partial(reconcile_regularly, *comparison, every=every, log=log))
    if services.polling is not None:
        every = services.polling.every
        metrics.poll_is_regular(every)
        jobs.start("poll", partial(poll_regularly, *comparison, every=every, log=log))


def _console(
    stack: AsyncExitStack, settings: Settings, services: Services, log: FilteringBoundLogger
) -> "Room":
    # Imported only if the console is enabled.
    with extra("console", "The console"):
        from service.console.access import Access  # noqa: PLC0415
        from service.console.rendering import Templates  # noqa: PLC0415
        from service.console.room import Environment, Room  # noqa: PLC0415
        from service.console.runs import Runs  # noqa: PLC0415
        from service.console.sign_ins import SignIns  # noqa: PLC0415

    store = services.store
    runs = Runs(audit=store.audit, exclusive=store.exclusive, log=log)
    stack.push_async_callback(runs.close)
    access = Access(settings)
    return Room(
        access=access,
        sign_ins=SignIns(
            access=access,
            kept=store.console_sessions,
            users=store.users,
            clerk=services.clerk.sessions,
            audit=store.audit,
        ),
        templates=Templates(),
        runs=runs,
        services=services,
        environment=Environment.of(settings),
        sync_now=sync_now_of(store, services.clerk),
        reconcile=reconcile_of(store, services.clerk),
    )


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _jit_limits(settings: Settings) -> JitLimits:
    return JitLimits(
        deadline=settings.jit_deadline,
        max_fetches=settings.jit_max_fetches,
        unknown_for=settings.jit_unknown_for,
    )
