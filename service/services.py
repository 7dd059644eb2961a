"""The ports and use cases that routes, commands and the console work with."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from fastapi import FastAPI

from domain.adoption import Adoption
from domain.backfill import Backfill
from domain.change_feed import ChangeFeed
from domain.change_log import ChangeLog, SubscriptionDesk, SubscriptionStore
from domain.console import AuditTrail, ClerkSessions, ConsoleReads, ConsoleSessions
from domain.history import StoreHistory
from domain.instance import Instance
from domain.journal import DeliveryWatch, Journal, JournalPages, JournalRetention
from domain.polling import Comparing, Polling
from domain.ports import (
    Checkpoints,
    DeliveryReader,
    Exclusive,
    IdentityProvider,
    IdentityProviderClock,
    IdentityWriter,
    SessionVerifier,
    UserRepository,
    UserTable,
    WebhookEndpoint,
    WebhookVerifier,
)
from domain.reconcile import Reconcile
from domain.resolve_user import ResolveUser
from domain.schema import SchemaState
from domain.sync_now import SyncNow
from service.metrics import Metrics
from service.readiness import Readiness
from service.settings import Settings
from service.shared_look import SharedLook

if TYPE_CHECKING:
    from service.console.room import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All ports to Postgres. All but `exclusive` and `adoption` share one pool of connections."""

    users: UserRepository
    user_table: UserTable
    journal: Journal
    journal_pages: JournalPages
    retention: JournalRetention
    watch: DeliveryWatch
    checkpoints: Checkpoints
    history: StoreHistory
    exclusive: Exclusive
    changes: ChangeLog
    subscriptions: SubscriptionStore
    desk: SubscriptionDesk
    audit: AuditTrail
    reads: ConsoleReads
    console_sessions: ConsoleSessions
    adoption: Adoption
    schema: Callable[[], Awaitable[SchemaState]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clerk:
    """All ports to Clerk, with the timeouts and the share of Clerk's quota of a long run.

    `answers` is false after repeated failures of Clerk.
    """

    webhooks: WebhookVerifier
    delivery_reader: DeliveryReader
    bulk: IdentityProvider
    prompt: IdentityProvider
    """With the timeouts of an operator who waits."""
    clock: IdentityProviderClock
    sessions: ClerkSessions
    writer: IdentityWriter
    answers: Callable[[], bool]
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The running parts of one application."""

    store: Store
    clerk: Clerk
    sessions: SessionVerifier
    resolve_user: ResolveUser
    silence_after: timedelta
    polling: Polling | None = None
    """None if Clerk is not polled; then webhooks are expected."""
    readiness: Readiness
    metrics: Metrics
    figures: SharedLook[None]
    """Reads the metrics of the store."""
    feed: ChangeFeed
    changes_token: str | None = None
    console: "Room | None" = None
    """None unless the settings enable the console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The parts that an operator's command works with."""

    store: Store
    clerk: Clerk
    signing_key_ids: Callable[[], Awaitable[frozenset[str] | None]]
    """Loads the keys of session tokens. None if they cannot be loaded."""
    webhook_endpoint: Callable[[str], WebhookEndpoint]
    """Makes the endpoint for an address. Raises `ValueError` without a secret to sign with."""


def backfill_of(store: Store, clerk: Clerk) -> Backfill:
    return Backfill(
        users=store.users,
        user_table=store.user_table,
        identity_provider=clerk.bulk,
        checkpoints=store.checkpoints,
        instance_id=clerk.instance.given,
    )


def reconcile_of(store: Store, clerk: Clerk) -> Reconcile:
    return Reconcile(
        users=store.users,
        user_table=store.user_table,
        identity_provider=clerk.bulk,
        checkpoints=store.checkpoints,
        instance_id=clerk.instance.given,
    )


def polling_of(settings: Settings, store: Store) -> Polling | None:
    if settings.poll_every is None:
        return None
    return Polling(timedelta(seconds=settings.poll_every), store.checkpoints)


def comparing_of(settings: Settings, store: Store) -> Comparing | None:
    if settings.reconcile_every is None:
        return None
    return Comparing(timedelta(seconds=settings.reconcile_every), store.checkpoints)


def sync_now_of(store: Store, clerk: Clerk) -> SyncNow:
    return SyncNow(
        users=store.users,
        user_table=store.user_table,
        identity_provider=clerk.prompt,
        checkpoints=store.checkpoints,
        instance_id=clerk.instance.given,
    )


class Observed(Protocol):
    """What `/readyz` and `/metrics` show of a process, which is a service or a worker."""

    @property
    def readiness(self) -> Readiness: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def figures(self) -> SharedLook[None]:
        """Reads the metrics of the store."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The running parts of a process that handles changes and does nothing else."""

    subscriptions: Sequence[str]
    readiness: Readiness
    metrics: Metrics
    figures: SharedLook[None]
    stop: Callable[[], Awaitable[None]]
    """Finishes the deliveries in hand, or hands them back."""


def attach(app: FastAPI, services: Observed) -> None:
    """Make the services available to the routes and dependencies of `app`."""
    app.state.user_sync = services


def observed_of(app: FastAPI) -> Observed:
    """The process that `app` tells of. Raises `RuntimeError` as `services_of` does."""
    return services_of(app)


def services_of(app: FastAPI) -> Services:
    """The services of `app`. Raises `RuntimeError` if `user_sync` was not entered."""
    services: Services | None = getattr(app.state, "user_sync", None)
    if services is None:
        raise RuntimeError(
            "enter user_sync(app) in the lifespan of the application that is served, after "
            "mounting other applications into it; a test client runs it in its `with` block"
        )
    return services
