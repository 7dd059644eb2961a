"""What routes and commands are given: ports and use cases, never adapters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI

from domain.ports import (
    Checkpoints,
    DeliveryReader,
    DeliveryWatch,
    Exclusive,
    FrontDoor,
    IdentityProvider,
    IdentityProviderClock,
    Journal,
    JournalRetention,
    SessionVerifier,
    UserRepository,
    UserTable,
    WebhookVerifier,
)
from domain.resolve_user import ResolveUser
from domain.sync_user import SyncUserHandler
from service.metrics import Metrics
from service.readiness import Readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The running parts of one application."""

    sync_user: SyncUserHandler
    resolve_user: ResolveUser
    sessions: SessionVerifier
    webhooks: WebhookVerifier
    journal: Journal
    silent_users: Callable[[], Awaitable[int]]
    readiness: Readiness
    metrics: Metrics
    console: object = None
    """A `Room`, which only the console looks into: where there is none, it is not even loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What an operator's command works with. The identity provider has a bulk run's patience."""

    users: UserRepository
    user_table: UserTable
    journal: Journal
    identity_provider: IdentityProvider
    sync_user: SyncUserHandler
    webhooks: WebhookVerifier
    checkpoints: Checkpoints
    exclusive: Exclusive
    schema_at_head: Callable[[], Awaitable[bool]]
    delivery_reader: DeliveryReader
    delivery_watch: DeliveryWatch
    retention: JournalRetention
    clock: IdentityProviderClock
    load_signing_keys: Callable[[], Awaitable[bool]]
    front_door: Callable[[str], FrontDoor]


def attach(app: FastAPI, services: Services) -> None:
    """Let the routes and dependencies of `app` find them."""
    app.state.user_sync = services
    app.state.user_sync_console = services.console


def services_of(app: FastAPI) -> Services:
    """What `attach` put there. Raises `RuntimeError` where the lifespan was forgotten."""
    services: Services | None = getattr(app.state, "user_sync", None)
    if services is None:
        raise RuntimeError("enter service.app.user_sync(app) in the application's lifespan")
    return services
