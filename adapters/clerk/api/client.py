"""The HTTP client for Clerk's Backend API, and the rate that Clerk's quota allows."""

import ssl

import httpx

API_VERSION = "2026-05-12"

DEVELOPMENT_RATE = 90
PRODUCTION_RATE = 900
"""Requests in 10 seconds: nine tenths of Clerk's quota for an instance."""


def clerk_client(
    secret_key: str,
    api_url: str,
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A client for Clerk's Backend API at `api_url` (without `/v1`). The caller closes it.

    `verify` holds the certificate authorities to trust; True reads the default ones. `proxy` is the
    address of a proxy; the environment is not read. `transport` replaces the network, for tests.
    """
    return httpx.AsyncClient(
        base_url=f"{api_url.rstrip('/')}/v1",
        headers={
            "Authorization": f"Bearer {secret_key}",
            "Clerk-API-Version": API_VERSION,
            "Accept": "application/json",
        },
        follow_redirects=False,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
        timeout=httpx.Timeout(30.0, connect=5.0),
        verify=verify,
        proxy=proxy,
        transport=transport,
        trust_env=False,
    )


def default_rate(secret_key: str) -> int:
    """The requests in 10 seconds for a key: few unless it is a production key."""
    return PRODUCTION_RATE if secret_key.startswith("sk_live_") else DEVELOPMENT_RATE
