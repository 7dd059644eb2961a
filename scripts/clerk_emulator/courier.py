"""One attempt to deliver: signed afresh, a total deadline, no redirect.

Headers and signature: docs.svix.com/receiving/verifying-payloads/how-manual.
"""

import asyncio
import ssl
import time
from datetime import UTC, datetime
from functools import cache

import httpx
from svix.webhooks import Webhook

from scripts.clerk_emulator.config import Clock
from scripts.clerk_emulator.deliveries import Attempt, Delivery

CONCURRENT_ATTEMPTS = 32
"""More wait their turn, and their deadline with them."""


class Courier:
    """Posts messages. Between `start` and `stop` only."""

    def __init__(
        self, *, clock: Clock, timeout: float, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._turns = asyncio.Semaphore(CONCURRENT_ATTEMPTS)

    @property
    def started(self) -> bool:
        return self._client is not None

    def start(self) -> None:
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONCURRENT_ATTEMPTS),
            timeout=self._timeout,
            transport=self._transport,
            trust_env=False,
            verify=_trusted(),
        )

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def attempt(self, delivery: Delivery) -> Attempt:
        """One POST, recorded on the delivery."""
        async with self._turns:
            attempt = await self._attempt(delivery)
        delivery.attempts.append(attempt)
        return attempt

    async def _attempt(self, delivery: Delivery) -> Attempt:
        at, began = self._clock(), time.perf_counter()
        status, error, retry_after = await self._post(delivery, at)
        return Attempt(
            at=at,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            status=status,
            error=error,
            retry_after=retry_after,
        )

    async def _post(self, delivery: Delivery, at: int) -> tuple[int | None, str | None, str | None]:
        """Status, error and Retry-After."""
        if self._client is None:
            raise RuntimeError("the courier is not started")
        headers = signed_headers(delivery, at // 1000)
        content = delivery.message.body.encode()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(
                    delivery.endpoint.url, content=content, headers=headers
                )
        except (httpx.HTTPError, TimeoutError) as error:
            return None, type(error).__name__, None
        return response.status_code, None, response.headers.get("retry-after")


@cache
def _trusted() -> ssl.SSLContext:
    """One for all: to read the certificate authorities takes longer than to start an emulator."""
    return httpx.create_ssl_context(trust_env=False)


def signed_headers(delivery: Delivery, seconds: int) -> dict[str, str]:
    """The attempt's headers at that Unix time: one signature for each of the secrets."""
    message, moment = delivery.message, datetime.fromtimestamp(seconds, UTC)
    signatures = [
        Webhook(secret).sign(message.svix_id, moment, message.body)
        for secret in delivery.endpoint.secrets
    ]
    return {
        "content-type": "application/json",
        "svix-id": message.svix_id,
        "svix-signature": " ".join(signatures),
        "svix-timestamp": str(seconds),
        "user-agent": "Svix-Webhooks/1.90.0 (clerk-emulator)",
    }
