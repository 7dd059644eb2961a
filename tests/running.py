"""The service as its users meet it: HTTP in front, a real Postgres and the emulator behind."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from svix.webhooks import Webhook

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.settings import Settings


@dataclass(frozen=True)
class Service:
    """A running service, and the secret its webhooks are signed with."""

    http: httpx.AsyncClient
    app: FastAPI
    secret: str

    async def deliver(self, event: Mapping[str, Any] | bytes, **signing: Any) -> httpx.Response:
        """Post an event as Svix would."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = svix_headers(self.secret, body, **signing)
        return await self.http.post("/webhooks/clerk", content=body, headers=headers)

    async def me(self, token: str) -> httpx.Response:
        return await self.http.get("/v1/me", headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def svix_headers(
    secret: str, body: bytes, *, svix_id: str | None = None, when: datetime | None = None
) -> dict[str, str]:
    """Signed by Svix's own library."""
    svix_id = svix_id or f"msg_{uuid4().hex}"
    when = when or datetime.now(UTC)
    # Latin-1 is never what a body is in; it only carries the bytes through a str unharmed.
    signature = Webhook(secret).sign(svix_id, when, body.decode())
    return {
        "svix-id": svix_id,
        "svix-timestamp": str(int(when.timestamp())),
        "svix-signature": signature,
        "content-type": "application/json",
    }


def settings_for(clerk: ClerkEmulator, database_url: str, **overrides: Any) -> Settings:
    """What the emulator says of itself, and where the store is."""
    from_clerk = {name.lower(): value for name, value in clerk.config.environment().items()}
    given = {"database_url": database_url, "log_level": "error", **from_clerk, **overrides}
    return Settings(_env_file=None, **given)


@asynccontextmanager
async def running_service(
    clerk: ClerkEmulator, database_url: str, **overrides: Any
) -> AsyncIterator[Service]:
    """The whole application in this process, without a socket."""
    settings = settings_for(clerk, database_url, **overrides)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, clerk.config.webhook_secrets[0])


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service", timeout=30)
