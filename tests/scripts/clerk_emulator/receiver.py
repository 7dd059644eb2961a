"""A receiver of webhooks for these tests. It verifies, records and answers them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from svix.webhooks import Webhook

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from scripts.clerk_emulator.deliveries import Delivery, DeliveryStatus

URL = "http://receiver.test/webhooks/clerk"


@dataclass(frozen=True)
class Received:
    svix_id: str
    timestamp: str
    signature: str
    event: dict[str, Any]


@dataclass
class Receiver:
    """Answers with `answers`, each a status and headers, then always with 204."""

    secret: str
    received: list[Received] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    delay: float = 0.0
    at_once: int = 0
    most_at_once: int = 0

    def will_answer(self, *statuses: int, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.extend((status, named) for status in statuses)

    def transport(self) -> httpx.ASGITransport:
        route = Route("/webhooks/clerk", self._receive, methods=["POST"])
        return httpx.ASGITransport(Starlette(routes=[route]))

    @property
    def types(self) -> list[str]:
        return [one.event["type"] for one in self.received]

    @property
    def ids(self) -> list[str]:
        return [one.svix_id for one in self.received]

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        Webhook(self.secret).verify(body, dict(request.headers))
        self.received.append(
            Received(
                svix_id=request.headers["svix-id"],
                timestamp=request.headers["svix-timestamp"],
                signature=request.headers["svix-signature"],
                event=orjson.loads(body),
            )
        )
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay)
        self.at_once -= 1
        status, headers = self.answers.popleft() if self.answers else (204, {})
        return Response(status_code=status, headers=headers)


@asynccontextmanager
async def delivering(
    signing_key: RSAPrivateKey, *, delay: float = 0.0, **settings: Any
) -> AsyncIterator[tuple[ClerkEmulator, Receiver]]:
    """An emulator on Svix's own schedule, and its receiver."""
    config = EmulatorConfig(rate_limit=None, webhook_urls=(URL,), **settings)
    receiver = Receiver(config.webhook_secrets[0], delay=delay)
    emulator = ClerkEmulator(config, signing_key=signing_key, transport=receiver.transport())
    await emulator.start()
    yield emulator, receiver
    await emulator.stop()


def only_delivery(emulator: ClerkEmulator) -> Delivery:
    [message] = emulator.sender.messages.values()
    return message.deliveries[0]


def statuses(emulator: ClerkEmulator) -> list[DeliveryStatus]:
    return [
        delivery.status
        for message in emulator.sender.messages.values()
        for delivery in message.deliveries
    ]
