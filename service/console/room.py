"""What the console's pages and actions work with."""

from dataclasses import dataclass

from fastapi import FastAPI

from domain.reconcile import Reconcile
from domain.sync_now import SyncNow
from service.console.access import Access
from service.console.rendering import Templates
from service.console.runs import Runs
from service.console.sign_ins import SignIns
from service.services import Clerk, Services, Store


@dataclass(frozen=True, kw_only=True)
class Room:
    """The parts of one console, over the services of its application."""

    access: Access
    sign_ins: SignIns
    templates: Templates
    runs: Runs
    services: Services
    sync_now: SyncNow
    reconcile: Reconcile

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def clerk(self) -> Clerk:
        return self.services.clerk


def console_of(app: FastAPI) -> Room | None:
    """The console of an application; None if its settings let no one in."""
    services: Services | None = getattr(app.state, "user_sync", None)
    return services.console if services else None
