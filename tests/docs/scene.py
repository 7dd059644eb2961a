"""A Clerk instance and a service, as the pages of docs/operating find them."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import httpx
from fastapi import FastAPI

from scripts.clerk_emulator import (
    ApiFault,
    ClerkEmulator,
    Endpoint,
    FaultKind,
)
from scripts.clerk_emulator.deliveries import Message, signed
from service.app import create_app
from service.log_writer import LogWriter
from tests.docs.runbooks import Runbook
from tests.e2e.processes import eventually
from tests.running import bearer, settings_for
from tests.service.listening import listening

BACKEND_API_DOWN = ApiFault(kind=FaultKind.ERROR, status=503)
KEY_REFUSED = ApiFault(kind=FaultKind.ERROR, status=401)
NEW_SECRET = "whsec_bmV3IHNlY3JldCBvZiB0aGUgZW5kcG9pbnQsIHJvdGF0ZWQ="
UNUSED_PORT = 1


@dataclass(frozen=True)
class Scene:
    """A Clerk instance, and the service that its webhooks go to."""

    clerk: ClerkEmulator
    store: str
    directory: Path
    port: int

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def webhooks(self) -> str:
        return f"{self.service}/webhooks/clerk"

    def runbook(self, name: str, **settings: str) -> Runbook:
        environment = {
            **self.clerk.config.environment(),
            "CLERK_INSTANCE_ID": self.clerk.config.instance_id,
            "DATABASE_URL": self.store,
            "SERVICE": self.service,
            "METRICS": self.service,
            **settings,
        }
        return Runbook(name, environment, self.directory)

    async def known(self, **fields: Any) -> str:
        """The id of a new user whose webhook has arrived."""
        user_id = self.signed_up(**fields)
        await self.clerk.sender.settled()
        return user_id

    def signed_up(self, **fields: Any) -> str:
        address = f"person{len(self.clerk.users)}@example.com"
        return str(self.clerk.create_user(**{"email_address": [address], **fields})["id"])

    async def somebody_new_comes(self) -> None:
        await self.me(self.signed_up())

    async def me(self, user_id: str) -> int:
        """The status of that user's request."""
        async with httpx.AsyncClient() as http:
            token = self.clerk.session_token(user_id)
            return (await http.get(f"{self.service}/v1/me", headers=bearer(token))).status_code

    async def forged_update(self, user_id: str) -> int:
        """Somebody who has the first signing secret posts an update that Clerk knows nothing of.

        Returns the status of the answer.
        """
        real = self.clerk.deliveries(user_id)[-1]
        event = json.loads(real.body)
        event["type"] = "user.updated"
        event["data"] |= {"first_name": "Forged", "updated_at": self.clerk.clock()}
        forged = Message(
            svix_id="msg_forged",
            number=0,
            event_type=event["type"],
            user_id=user_id,
            body=json.dumps(event),
        )
        signed_delivery = signed(forged, self.clerk.config.webhook_secrets, self.clerk.clock())
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                self.webhooks, content=signed_delivery.body, headers=signed_delivery.headers
            )
        return answer.status_code

    def webhooks_come(self, *, they_come: bool) -> None:
        self.clerk.sender.enable(self.webhooks, enabled=they_come)


def as_it_is(app: FastAPI) -> None:
    """The application of this release."""


@asynccontextmanager
async def serving(
    clerk: ClerkEmulator,
    store_url: str,
    directory: Path,
    *,
    output: TextIO | None = None,
    prepare: Callable[[FastAPI], None] = as_it_is,
    **overrides: Any,
) -> AsyncIterator[Scene]:
    """`output` takes the log, and `prepare` changes the application before it is served."""
    settings = settings_for(
        clerk,
        store_url,
        **{"clerk_instance_id": clerk.config.instance_id, "silence_after": 0.1, **overrides},
    )
    lines = LogWriter(output or StringIO(), str, max_queued=10_000)
    app = create_app(settings, lines)
    prepare(app)
    async with listening(app, settings) as at:
        scene = Scene(clerk, store_url, directory, at.port)
        clerk.sender.add_endpoint(
            Endpoint(url=scene.webhooks, secrets=clerk.config.webhook_secrets)
        )
        yield scene
        clerk.sender.endpoints.clear()
    lines.close()


def all_was_run(page: Runbook) -> None:
    assert page.blocks == [], f"{page.name}: blocks that no test has run"


async def eventually_ready(scene: Scene) -> None:
    await eventually(lambda: shows(scene, '"status":"ready"', "/readyz"))


async def shows(scene: Scene, pattern: str, path: str = "/metrics") -> bool:
    async with httpx.AsyncClient() as http:
        return re.search(pattern, (await http.get(f"{scene.service}{path}")).text) is not None
