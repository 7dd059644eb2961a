"""Messages, their deliveries to endpoints, and one signed attempt over HTTP.

Headers and signature: docs.svix.com/receiving/verifying-payloads/how-manual.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

import httpx
from svix.webhooks import Webhook

from scripts.clerk_emulator.config import Clock, Endpoint

ATTEMPT_TIMEOUT = 15.0
"""Seconds, as at Svix. Not scaled."""
CONCURRENT_ATTEMPTS = 32


class DeliveryStatus(StrEnum):
    """The state of a delivery. `SENDING` includes the waits between attempts."""

    SENDING = "sending"
    HELD = "held"
    DELIVERED = "delivered"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One POST. `at` is milliseconds since 1970; `error` is set if there was no answer."""

    at: int
    duration_ms: float
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """At Svix only a 2xx within the time limit is a success; a redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(kw_only=True, eq=False)
class Delivery:
    """One message to one endpoint. `released` ends the wait of a held one."""

    message: "Message"
    endpoint: Endpoint
    status: DeliveryStatus = DeliveryStatus.MISSING
    attempts: list[Attempt] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True, eq=False)
class Message:
    """An event under its `svix-id`. Messages are numbered in the order of their creation."""

    svix_id: str
    number: int
    event_type: str
    user_id: str | None
    body: str
    deliveries: list[Delivery] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """An item in the answer of `GET /emulator/messages`."""
        return {
            "svix_id": self.svix_id,
            "event_type": self.event_type,
            "user_id": self.user_id,
            "body": self.body,
            "deliveries": [
                {"url": one.endpoint.url, "status": one.status, "attempts": one.attempts}
                for one in self.deliveries
            ],
        }


@dataclass(frozen=True, kw_only=True)
class SignedDelivery:
    """A webhook as Svix posts it: `headers` with a valid signature, and the raw `body`."""

    svix_id: str
    event_type: str
    headers: dict[str, str]
    body: bytes


def signed(message: Message, secrets: Sequence[str], now: int) -> SignedDelivery:
    """One attempt at `message`, with one signature for each secret. `now` is milliseconds."""
    seconds = now // 1000
    moment = datetime.fromtimestamp(seconds, UTC)
    signatures = [Webhook(one).sign(message.svix_id, moment, message.body) for one in secrets]
    return SignedDelivery(
        svix_id=message.svix_id,
        event_type=message.event_type,
        headers={
            "content-type": "application/json",
            "svix-id": message.svix_id,
            "svix-signature": " ".join(signatures),
            "svix-timestamp": str(seconds),
            "user-agent": "Svix-Webhooks/1.90.0 (clerk-emulator)",
        },
        body=message.body.encode(),
    )


class AttemptClient:
    """Posts attempts, at most `CONCURRENT_ATTEMPTS` at once. Works between `start` and `stop`."""

    def __init__(self, *, clock: Clock, transport: httpx.AsyncBaseTransport | None) -> None:
        self._clock = clock
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_ATTEMPTS)

    @property
    def started(self) -> bool:
        return self._client is not None

    def start(self) -> None:
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONCURRENT_ATTEMPTS),
            timeout=ATTEMPT_TIMEOUT,
            transport=self._transport,
            trust_env=False,
            verify=_certificates(),
        )

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt and record it in the delivery."""
        if self._client is None:
            raise RuntimeError("the webhook sender is not started")
        async with self._slots:
            at, began = self._clock(), time.perf_counter()
            status, error, retry_after = await _post(self._client, delivery, at)
        attempt = Attempt(
            at=at,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            status=status,
            error=error,
            retry_after=retry_after,
        )
        delivery.attempts.append(attempt)
        return attempt


async def _post(
    client: httpx.AsyncClient, delivery: Delivery, now: int
) -> tuple[int | None, str | None, str | None]:
    """Status, error and Retry-After."""
    signed_delivery = signed(delivery.message, delivery.endpoint.secrets, now)
    try:
        async with asyncio.timeout(ATTEMPT_TIMEOUT):
            response = await client.post(
                delivery.endpoint.url,
                content=signed_delivery.body,
                headers=signed_delivery.headers,
            )
    except (httpx.HTTPError, TimeoutError) as error:
        return None, type(error).__name__, None
    return response.status_code, None, response.headers.get("retry-after")


@cache
def _certificates() -> ssl.SSLContext:
    """Shared: loading the certificate authorities takes longer than starting an emulator."""
    return httpx.create_ssl_context(trust_env=False)
