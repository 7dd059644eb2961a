"""The whole service over HTTP, on a real Postgres and the Clerk emulator."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
from fastapi import FastAPI
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.log import Lines
from service.metrics import PREFIX
from service.services import services_of
from service.settings import Settings

WEBHOOKS = "/webhooks/clerk"
ENDS = ("", "_total", "_count", "_sum", "_bucket")
"""What a sample's name has after the name of its metric."""

Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Service:
    """A running service, and the secret that signs its webhooks."""

    http: httpx.AsyncClient
    app: FastAPI
    secret: str

    async def deliver(self, event: Mapping[str, Any] | bytes, **signing: Any) -> httpx.Response:
        """Post an event as Svix does."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = svix_headers(self.secret, body, **signing)
        return await self.http.post(WEBHOOKS, content=body, headers=headers)

    async def me(self, token: str) -> httpx.Response:
        return await self.http.get("/v1/me", headers=bearer(token))

    async def session(self, token: str) -> httpx.Response:
        return await self.http.get("/v1/session", headers=bearer(token))

    async def degraded(self) -> list[str]:
        """What `/readyz` calls degraded now."""
        services_of(self.app).readiness.look_again()
        found: list[str] = (await self.http.get("/readyz")).json()["degraded"]
        return found

    async def samples(self) -> Samples:
        """Every sample of `/metrics` now, by its name without our prefix, and labels."""
        return _samples_of(await self._metrics())

    async def metric(self, name: str, /, **labels: str) -> float:
        """One sample of `/metrics`; 0 if there is none. A metric has that name and those labels."""
        metrics = await self._metrics()
        names = {f"{one.name.removeprefix(PREFIX)}{end}" for one in metrics for end in ENDS}
        assert name in names, f"there is no metric {name}"
        samples = _samples_of(metrics)
        for other, its_labels in samples:
            if other == name:
                known = sorted(label for label, _ in its_labels)
                assert known == sorted(labels), f"{name} has the labels {known}"
        return samples.get((name, frozenset(labels.items())), 0.0)

    async def _metrics(self) -> list[Metric]:
        services_of(self.app).figures.forget()
        answer = await self.http.get("/metrics")
        return list(text_string_to_metric_families(answer.text))


def _samples_of(metrics: list[Metric]) -> Samples:
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def svix_headers(
    secret: str, body: bytes, *, svix_id: str | None = None, when: datetime | None = None
) -> dict[str, str]:
    svix_id = svix_id or f"msg_{uuid4().hex}"
    timestamp = str(int(when.timestamp() if when else time.time()))
    return {
        "svix-id": svix_id,
        "svix-timestamp": timestamp,
        "svix-signature": signature(secret, svix_id, timestamp, body),
        "content-type": "application/json",
    }


def signature(secret: str, svix_id: str, timestamp: str, body: bytes) -> str:
    """A Standard Webhooks 1.0 signature. Svix's library refuses to sign some of our bad input."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{svix_id}.{timestamp}.".encode("latin-1") + body
    return f"v1,{base64.b64encode(hmac.digest(key, message, 'sha256')).decode()}"


def settings_for(clerk: ClerkEmulator, database_url: str, **overrides: Any) -> Settings:
    """The settings for this emulator and this store."""
    from_clerk = {name.lower(): value for name, value in clerk.config.environment().items()}
    given = {"database_url": database_url, "log_level": "error", **from_clerk, **overrides}
    return Settings(_env_file=None, **given)


@asynccontextmanager
async def running_service(
    clerk: ClerkEmulator, database_url: str, *, log: Lines | None = None, **overrides: Any
) -> AsyncIterator[Service]:
    """The whole application in this process, without a socket. `log` receives JSON lines.

    The just-in-time deadline is 10 s, so that a busy machine fails no test; tests about the
    deadline set their own.
    """
    logging = {} if log is None else {"log_level": "info", "log_format": "json"}
    settings = settings_for(clerk, database_url, **{"jit_deadline": 10, **logging, **overrides})
    app = create_app(settings, log)
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, clerk.config.webhook_secrets[0])


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service", timeout=30)


def problem(status: int, code: str) -> dict[str, Any]:
    """The complete problem document for `code`. A test compares whole documents."""
    kind = f"urn:clerk-user-sync:problem:{code}"
    return {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "code": code}


UNAUTHORIZED = problem(401, "session_invalid")
REFUSED = problem(400, "signature_invalid")
