"""The kinds of requests to the services."""

from dataclasses import dataclass
from enum import StrEnum


class Work(StrEnum):
    """A kind of request, and the status of its right answer."""

    KNOWN_USER = "known user"
    FRESH_DELIVERY = "fresh delivery"
    BAD_SIGNATURE = "bad signature"

    @property
    def request(self) -> str:
        return "GET /v1/me" if self is Work.KNOWN_USER else "POST /webhooks/clerk"

    def is_done(self, status: int) -> bool:
        """Whether a refusal is the right answer, as for a bad signature."""
        if self is Work.BAD_SIGNATURE:
            return 400 <= status < 500
        return 200 <= status < 300


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load. `users` are in the store before; `seconds` counts after the warm-up.

    Each connection asks again as soon as it is answered; or all of them together ask `a_second`
    times in a second, or fewer if answers take longer than `pause`: a connection waits for its own.
    """

    users: int = 10_000
    connections: int = 32
    seconds: float = 3.0
    warm_up: float = 0.5
    a_second: int | None = None

    @property
    def pause(self) -> float:
        """Seconds between two requests of one connection."""
        return 0.0 if self.a_second is None else self.connections / self.a_second

    def __str__(self) -> str:
        if self.a_second is None:
            return f"{self.connections} connections"
        return f"{self.a_second} requests a second"
