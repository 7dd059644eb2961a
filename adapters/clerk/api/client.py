"""The HTTP client for Clerk's Backend API, and the rate that Clerk's quota allows."""

import httpx

from adapters.clerk.http import HttpClient
from adapters.clerk.network import read_authorities, transport_to

API_VERSION = "2026-05-12"

DEVELOPMENT_RATE = 90
PRODUCTION_RATE = 900
"""Requests in 10 seconds: nine tenths of Clerk's quota for an instance."""


def clerk_client(
    secret_key: str, api_url: str, transport: httpx.AsyncBaseTransport | None = None
) -> HttpClient:
    """A client for Clerk's Backend API at `api_url` (without `/v1`). The caller closes it.

    `transport` is by default one that trusts Mozilla's authorities, without a proxy.
    """
    return HttpClient(
        transport=transport or transport_to(read_authorities(None, None)),
        base_url=f"{api_url.rstrip('/')}/v1",
        headers={
            "Authorization": f"Bearer {secret_key}",
            "Clerk-API-Version": API_VERSION,
            "Accept": "application/json",
        },
    )


def default_rate(secret_key: str) -> int:
    """The requests in 10 seconds for a key: few unless it is a production key."""
    return PRODUCTION_RATE if secret_key.startswith("sk_live_") else DEVELOPMENT_RATE
