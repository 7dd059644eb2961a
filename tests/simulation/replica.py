"""One simulated process of the service: our whole application, which may be killed at any await."""

import asyncio
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import httpx
from fastapi import FastAPI

from adapters.clerk.api.client import clerk_client
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.http import HttpClient
from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys
from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from adapters.clerk.translate.delivery import ClerkDeliveryReader
from domain.change_feed import ChangeFeed
from domain.instance import Instance
from domain.journal import DeliveryWatch
from domain.newest_position import NewestPosition
from domain.resolve_user import ResolveUser
from domain.schema import SchemaState, Standing
from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.metrics import Metrics
from service.readiness import Readiness
from service.services import Clerk, Services, Store, attach
from service.shared_look import SharedLook
from tests.running import settings_for
from tests.simulation.virtual_time import Process
from tests.simulation.wires import ClerkWire, StoreWire


class Replica:
    """It restarts `restarts_after` seconds after a kill. `max_rate` is its calls to Clerk in 10 s."""

    def __init__(
        self,
        name: str,
        clerk: ClerkEmulator,
        wire: ClerkWire,
        store: StoreWire,
        *,
        restarts_after: float = 1.0,
        max_rate: float = 10_000,
    ) -> None:
        self.name = name
        self._clerk = clerk
        self._wire = wire
        self._store = store
        self._restarts_after = restarts_after
        self._max_rate = max_rate
        self._app = application(clerk)
        self._asgi = httpx.ASGITransport(self._app)
        self._process: Process | None = None

    def start(self) -> None:
        """Start a new process, with none of the old one's memory."""
        self._process = Process()
        attach(self._app, self._services())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
            asyncio.get_running_loop().call_later(self._restarts_after, self.start)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Raises `httpx.TransportError` if the replica is down or is killed meanwhile."""
        if self._process is None:
            raise httpx.ConnectError("connection refused", request=request)
        work = self._process.spawn(self._asgi.handle_async_request(request))
        # The caller may give up; the work goes on.
        await asyncio.wait([work])
        if work.cancelled():
            raise httpx.ReadError("hung up", request=request)
        return work.result()

    def _services(self) -> Services:
        config, clock = self._clerk.config, asyncio.get_running_loop().time
        clerk = ClerkIdentityProvider(
            clerk_client(config.secret_key, config.url, transport=self._wire),
            max_rate=self._max_rate,
            clock=clock,
        )
        keys = JwksKeys(HttpClient(transport=self._wire), config.jwks_url, clock=clock)
        store: Any = self._store
        return Services(
            store=Store(
                users=store,
                user_table=store,
                journal=store,
                journal_pages=store,
                retention=store,
                watch=AllIsWell(),
                checkpoints=store,
                history=store,
                exclusive=store,
                changes=store,
                subscriptions=store,
                desk=store,
                adoption=store,
                audit=store,
                reads=store,
                console_sessions=store,
                schema=_at_head,
            ),
            clerk=Clerk(
                webhooks=ClerkWebhookVerifier(
                    config.webhook_secrets, instance=Instance(config.instance_id)
                ),
                delivery_reader=ClerkDeliveryReader(instance=Instance(config.instance_id)),
                bulk=clerk,
                prompt=clerk,
                clock=clerk,
                sessions=clerk,
                writer=clerk,
                answers=lambda: clerk.answers,
                instance=Instance(config.instance_id),
            ),
            feed=ChangeFeed(store, store, NewestPosition(store)),
            resolve_user=ResolveUser(self._store, clerk, clock=clock),
            sessions=ClerkSessionVerifier(
                keys,
                issuer=config.token_issuer,
                authorized_parties=frozenset({config.authorized_party}),
                allow_missing_azp=False,
                audience=None,
                clock=clock,
            ),
            silence_after=timedelta(minutes=15),
            readiness=_always_ready(),
            metrics=Metrics(),
            figures=SharedLook(_nothing),
        )


class AllIsWell(DeliveryWatch):
    """A watch that finds nothing."""

    async def silent_users(self, after: timedelta) -> int:
        del after
        return 0

    async def last_delivery_at(self) -> datetime | None:
        return None


def application(clerk: ClerkEmulator) -> FastAPI:
    settings = settings_for(clerk, "postgresql://nowhere/nothing")
    return create_app(settings, StringIO())


async def _nothing() -> None:
    return None


async def _nobody() -> int:
    return 0


async def _at_head() -> SchemaState:
    return SchemaState(standing=Standing.AT_HEAD)


def _always_ready() -> Readiness:
    return Readiness(
        schema=_at_head,
        keys_loaded=lambda: True,
        clerk_answers=lambda: True,
        silent_users=_nobody,
        went_back=_nothing,
    )
