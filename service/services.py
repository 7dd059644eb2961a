"""What the routes are given: ports and use cases, never adapters."""

from dataclasses import dataclass

from fastapi import FastAPI

from domain.ports import Journal, SessionVerifier, WebhookVerifier
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
    readiness: Readiness
    metrics: Metrics


def attach(app: FastAPI, services: Services) -> None:
    """Let the routes and dependencies of `app` find them."""
    app.state.user_sync = services


def services_of(app: FastAPI) -> Services:
    """What `attach` put there. Raises `RuntimeError` where the lifespan was forgotten."""
    services: Services | None = getattr(app.state, "user_sync", None)
    if services is None:
        raise RuntimeError("enter service.app.user_sync(app) in the application's lifespan")
    return services
