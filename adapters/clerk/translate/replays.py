"""Deliveries that were verified once: read again, or signed afresh for another environment."""

from datetime import UTC, datetime

import httpx
from svix.webhooks import Webhook
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from adapters.clerk.translate.delivery import read_delivery
from adapters.clerk.translate.json import write_json
from domain.errors import FrontDoorUnavailable
from domain.ports import DeliveryReader, FrontDoor
from domain.sync_user import VerifiedDelivery
from domain.user import Source, UserId

_TRIES = 5
_SECONDS = 15.0
"""Svix's own patience with an endpoint."""


class ClerkDeliveryReader(DeliveryReader):
    """The same translator as the webhook's, so that a fix of it is what a replay brings."""

    def __init__(self, *, instance_id: str | None) -> None:
        self._instance_id = instance_id

    def read(self, body: bytes, *, svix_id: str, sent_at: datetime) -> VerifiedDelivery:
        return read_delivery(
            body,
            svix_id=svix_id,
            sent_at=sent_at,
            instance_id=self._instance_id,
            source=Source.REPLAY,
        )

    def deletion(self, user_id: UserId, occurred_at: datetime) -> bytes:
        return write_json(
            {
                "data": {"deleted": True, "id": user_id, "object": "user"},
                "object": "event",
                "timestamp": round(occurred_at.timestamp() * 1000),
                "type": "user.deleted",
            }
        )


class SvixFrontDoor(FrontDoor):
    """Posts to `url` what it signs with `secret`, as Svix would. The caller closes the client."""

    def __init__(self, client: httpx.AsyncClient, *, url: str, secret: str) -> None:
        self._client = client
        self._url = url
        self._webhook = Webhook(secret)

    async def post(self, svix_id: str, body: bytes) -> int:
        """Also raises `ValueError` for a body that is not text: Svix signs text only."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(FrontDoorUnavailable),
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        return await retrying(self._post_once, svix_id, body)

    async def _post_once(self, svix_id: str, body: bytes) -> int:
        try:
            answer = await self._client.post(
                self._url, content=body, headers=self._headers(svix_id, body), timeout=_SECONDS
            )
        except httpx.TransportError as error:
            raise FrontDoorUnavailable(f"{type(error).__name__} at the front door") from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            raise FrontDoorUnavailable(f"the front door answers {answer.status_code}")
        return answer.status_code

    def _headers(self, svix_id: str, body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "Content-Type": "application/json",
            "User-Agent": "clerk-user-sync",
            "svix-id": svix_id,
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": self._webhook.sign(svix_id, now, body.decode()),
        }
