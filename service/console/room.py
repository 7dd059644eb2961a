"""What the console's pages and actions work with: ports and use cases, never adapters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI

from domain.console import AuditTrail, ConsoleReads
from domain.ports import (
    Checkpoints,
    DeliveryReader,
    IdentityProvider,
    Journal,
    SessionVerifier,
    UserRepository,
)
from domain.reconcile import Reconcile
from domain.sync_now import SyncNow
from domain.sync_user import SyncUserHandler
from service.console.access.access import Access
from service.console.rendering import Templates
from service.console.runs import Runs
from service.readiness import Readiness


@dataclass(frozen=True, kw_only=True)
class Room:
    """The running parts of one console."""

    access: Access
    templates: Templates
    runs: Runs
    reads: ConsoleReads
    audit: AuditTrail
    users: UserRepository
    journal: Journal
    sessions: SessionVerifier
    identity_provider: IdentityProvider
    sync_user: SyncUserHandler
    sync_now: SyncNow
    checkpoints: Checkpoints
    delivery_reader: DeliveryReader
    readiness: Readiness
    silent_users: Callable[[], Awaitable[int]]
    reconcile: Callable[..., Reconcile]


def console_of(app: FastAPI) -> Room | None:
    """What `attach` put there; None while the console is not configured."""
    room: Room | None = getattr(app.state, "user_sync_console", None)
    return room
