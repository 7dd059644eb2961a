"""What is asked of the contestants."""

from dataclasses import dataclass
from enum import StrEnum


class Work(StrEnum):
    """One kind of request, and the answer that counts as done."""

    KNOWN_USER = "known user"
    FRESH_DELIVERY = "fresh delivery"
    BAD_SIGNATURE = "bad signature"

    @property
    def request(self) -> str:
        return "GET /v1/me" if self is Work.KNOWN_USER else "POST /webhooks/clerk"

    def is_done(self, status: int) -> bool:
        """A refusal is the work where the signature is bad."""
        if self is Work.BAD_SIGNATURE:
            return 400 <= status < 500
        return 200 <= status < 300


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard to ask. `users` are known before; `seconds` counts after a warm-up."""

    users: int = 10_000
    connections: int = 32
    seconds: float = 3.0
    warm_up: float = 0.5
