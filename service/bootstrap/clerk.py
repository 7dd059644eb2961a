"""Build the parts for Clerk: its Backend API, signing keys, and verifiers."""

from contextlib import AsyncExitStack
from dataclasses import replace

import httpx

from adapters.clerk.api.calls import (
    BULK_LIMITS,
    OPERATOR_LIMITS,
    REQUEST_LIMITS,
    ClerkLimits,
    Report,
)
from adapters.clerk.api.client import clerk_client, default_rate
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.http import HttpClient
from adapters.clerk.network import read_authorities, transport_to
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys, PinnedKey, SigningKeys
from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from adapters.clerk.translate.delivery import ClerkDeliveryReader
from domain.instance import Instance
from service.bootstrap.settings import proxy_for
from service.services import Clerk
from service.settings import Settings

Transport = httpx.AsyncBaseTransport | None
"""Replaces the network to Clerk, in tests."""

OPERATOR_SHARE = 1 / 3
"""The share of Clerk's quota for operators and long runs. Requests have the rest."""


async def clerk_of(
    stack: AsyncExitStack,
    settings: Settings,
    instance: Instance,
    *,
    report: Report = lambda _operation, _status: None,
    transport: Transport = None,
) -> Clerk:
    secrets = [s.get_secret_value() for s in settings.clerk_webhook_signing_secret]
    bulk = await identity_provider(
        stack,
        settings,
        share=OPERATOR_SHARE,
        limits=BULK_LIMITS,
        report=report,
        transport=transport,
    )
    return Clerk(
        webhooks=ClerkWebhookVerifier(secrets, instance=instance),
        delivery_reader=ClerkDeliveryReader(instance=instance),
        bulk=bulk,
        prompt=bulk.within(OPERATOR_LIMITS),
        clock=bulk,
        sessions=bulk,
        writer=bulk,
        answers=lambda: bulk.answers,
        instance=instance,
    )


async def signing_key_ids(settings: Settings) -> frozenset[str] | None:
    """The ids of the keys that are loaded now, if that succeeds."""
    async with AsyncExitStack() as stack:
        keys = await signing_keys(stack, settings)
        await keys.load()
        return keys.ids if keys.loaded else None


async def signing_keys(
    stack: AsyncExitStack, settings: Settings, transport: Transport = None
) -> SigningKeys:
    if settings.clerk_jwt_key is not None:
        return PinnedKey(settings.clerk_jwt_key.get_secret_value())
    to_keys = HttpClient(transport=transport or _network(settings, settings.jwks_url))
    keys = JwksKeys(await stack.enter_async_context(to_keys), settings.jwks_url)
    stack.push_async_callback(keys.close)
    return keys


async def identity_provider(
    stack: AsyncExitStack,
    settings: Settings,
    *,
    share: float,
    limits: ClerkLimits,
    report: Report,
    transport: Transport = None,
) -> ClerkIdentityProvider:
    """The identity provider. It may use `share` of Clerk's quota."""
    secret_key = settings.clerk_secret_key.get_secret_value()
    client = clerk_client(
        secret_key,
        settings.clerk_api_url,
        transport or _network(settings, settings.clerk_api_url),
    )
    return ClerkIdentityProvider(
        await stack.enter_async_context(client),
        max_rate=(settings.clerk_rate_limit or default_rate(secret_key)) * share,
        limits=limits,
        report=report,
    )


def http_client(settings: Settings, url: str) -> httpx.AsyncClient:
    """A client for this address only, because its proxy depends on it. The caller closes it."""
    return httpx.AsyncClient(
        follow_redirects=False, transport=_network(settings, url), trust_env=False
    )


def _network(settings: Settings, url: str) -> httpx.AsyncBaseTransport:
    """Connections for this address only, because its proxy depends on it."""
    authorities = read_authorities(settings.ssl_cert_file, settings.ssl_cert_dir)
    return transport_to(authorities, proxy_for(settings, url))


def request_limits(settings: Settings) -> ClerkLimits:
    """Clerk's deadline is that of just-in-time sync; one try has half of it."""
    allowed = settings.jit_deadline
    return replace(REQUEST_LIMITS, deadline=allowed, attempt=allowed / 2)


def session_verifier(settings: Settings, keys: SigningKeys) -> ClerkSessionVerifier:
    return ClerkSessionVerifier(
        keys,
        issuer=settings.issuer,
        authorized_parties=frozenset(settings.clerk_authorized_parties),
        allow_missing_azp=settings.clerk_missing_azp == "allow",
        audience=settings.clerk_audience,
    )
