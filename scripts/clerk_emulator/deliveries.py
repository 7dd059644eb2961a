"""A message, and what became of it at each endpoint."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scripts.clerk_emulator.config import Endpoint


class DeliveryStatus(StrEnum):
    """Where a delivery stands. Only `SENDING` is on its way; the others rest."""

    SENDING = "sending"
    HELD = "held"
    DELIVERED = "delivered"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One POST. `at` is milliseconds since 1970; `error` says why there is no status."""

    at: int
    duration_ms: float
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """Svix: 2xx within the time allowed. A redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(kw_only=True, eq=False)
class Delivery:
    """One message for one endpoint. `wake` ends whatever it waits for."""

    message: "Message"
    endpoint: Endpoint
    status: DeliveryStatus = DeliveryStatus.MISSING
    attempts: list[Attempt] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True, eq=False)
class Message:
    """A snapshot under one `svix-id`, whatever becomes of it. `number` counts messages."""

    svix_id: str
    number: int
    event_type: str
    body: str
    deliveries: list[Delivery] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """As `GET /emulator/messages` shows it."""
        return {
            "svix_id": self.svix_id,
            "event_type": self.event_type,
            "body": self.body,
            "deliveries": [
                {"url": one.endpoint.url, "status": one.status, "attempts": one.attempts}
                for one in self.deliveries
            ],
        }
