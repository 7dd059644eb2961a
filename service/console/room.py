"""What the console's pages and actions work with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cachetools import TTLCache
from fastapi import FastAPI

from domain.reconcile import Reconcile
from domain.sync_now import SyncNow
from service.console.access import Access
from service.console.rendering import Templates
from service.console.runs import Runs
from service.console.sign_ins import SignIns
from service.services import Clerk, Services, Store
from service.settings import Settings

SECTIONS = ("deliveries", "users", "subscriptions", "drift", "quarantine", "audit")
"""The parts of the console, in the order of its navigation, by the first word of their paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The environment, as each page shows it.

    `host` is Clerk's; `colour` is a class of the CSS; `docs` is the documentation's site.
    """

    name: str
    host: str
    colour: str
    docs: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Environment":
        """Without ENVIRONMENT_NAME, the kind of Clerk's secret key names it."""
        is_live = settings.clerk_secret_key.get_secret_value().startswith("sk_live_")
        return cls(
            name=settings.environment_name or ("production" if is_live else "development"),
            host=urlsplit(settings.issuer).netloc,
            colour=settings.environment_colour or ("red" if is_live else "blue"),
            docs=settings.docs_url,
        )


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
    environment: Environment
    asked: TTLCache[str, int | None] = field(default_factory=lambda: TTLCache(maxsize=1, ttl=60))
    """The last answer of Clerk that a page which refreshes by itself needs."""

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def clerk(self) -> Clerk:
        return self.services.clerk

    def render(self, template: str, facts: Mapping[str, Any]) -> str:
        """A page, with the facts that every page shows.

        The instance is known by its address until its id is learnt.
        """
        instance = self.clerk.instance.id or self.environment.host
        everywhere = {
            "environment": self.environment,
            "instance": instance,
            "sections": SECTIONS,
        }
        return self.templates.render(template, {**everywhere, **facts})


def console_of(app: FastAPI) -> Room | None:
    """The console of an application; None if its settings let no one in."""
    services: Services | None = getattr(app.state, "user_sync", None)
    return services.console if services else None
