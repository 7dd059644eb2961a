"""Post deliveries to the webhook route of another service, signed as Svix signs them."""

from datetime import UTC, datetime

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from adapters.clerk.svix_webhooks import Webhook
from domain.errors import EndpointUnavailable
from domain.ports import WebhookEndpoint

_TRIES = 5
_SECONDS = 15.0
"""Svix's timeout for an endpoint."""


class SvixWebhookEndpoint(WebhookEndpoint):
    """Posts to `url`, signed with `secret`. The caller closes the client."""

    def __init__(self, client: httpx.AsyncClient, secret: str, url: str) -> None:
        self._client = client
        self._url = url
        self._webhook = Webhook(secret)

    async def post(self, svix_id: str, body: bytes) -> int:
        """Post it, with retries. Raises `ValueError` for a body that is not text, as Svix does."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(EndpointUnavailable),
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        return await retrying(self._post_once, svix_id, body)

    async def _post_once(self, svix_id: str, body: bytes) -> int:
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "clerk-user-sync",
            "svix-id": svix_id,
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": self._webhook.sign(svix_id, now, body.decode()),
        }
        try:
            answer = await self._client.post(
                self._url, content=body, headers=headers, timeout=_SECONDS
            )
        except (TimeoutError, httpx.TransportError) as error:
            raise EndpointUnavailable(type(error).__name__) from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            raise EndpointUnavailable(f"it answers {answer.status_code}")
        return answer.status_code
