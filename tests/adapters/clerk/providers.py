"""Identity providers with short timeouts, and what they report."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from adapters.clerk.api.calls import BULK_LIMITS, ClerkLimits
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.http import HttpClient
from domain.user import UserId
from tests.adapters.clerk.http_server import Reply
from tests.adapters.clerk.payloads import ADA, api_bytes

USER_ID = UserId(ADA)
LIMITS = ClerkLimits(deadline=4.5, attempt=2.0, first_wait=0.005, longest_wait=0.01)
IMPATIENT = replace(LIMITS, attempt=0.2)

FOUND = Reply(body=api_bytes("get_user_200"))
NOT_FOUND = Reply(status=404, body=api_bytes("error_404_user_not_found"))
BAD_KEY = Reply(status=401, body=api_bytes("error_401_clerk_key_invalid"))
LIMITED = Reply(status=429, body=api_bytes("error_429_too_many_requests"))
BROKEN = Reply(status=500, body=api_bytes("error_500_internal"))
DOWN = Reply(status=503, body=api_bytes("error_503_service_unavailable"))


@dataclass
class Reports:
    attempts: list[tuple[str, str]] = field(default_factory=list)


def asking_to_wait(retry_after: str) -> Reply:
    return replace(LIMITED, headers={"Retry-After": retry_after})


def provider(
    client: HttpClient,
    *,
    limits: ClerkLimits = LIMITS,
    max_rate: float = 900,
    reports: Reports | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ClerkIdentityProvider:
    heard = reports or Reports()
    return ClerkIdentityProvider(
        client,
        max_rate=max_rate,
        limits=limits,
        bulk_limits=replace(limits, max_bytes=BULK_LIMITS.max_bytes),
        report=lambda operation, status: heard.attempts.append((operation, status)),
        clock=clock,
    )
