"""Where webhooks go in these tests: an endpoint that verifies, records and answers as told."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from svix.webhooks import Webhook

URL = "http://receiver.test/webhooks/clerk"


@dataclass(frozen=True)
class Received:
    svix_id: str
    timestamp: str
    signature: str
    event: dict[str, Any]


@dataclass
class Receiver:
    """Answers 204, or first the statuses it was given, each with its headers."""

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
