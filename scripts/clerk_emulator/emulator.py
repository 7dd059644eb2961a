"""A Clerk instance with its HTTP API as one ASGI application."""

from email.utils import formatdate
from functools import cached_property

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scripts.clerk_emulator import api, control, errors
from scripts.clerk_emulator.config import Clock
from scripts.clerk_emulator.instance import ClerkInstance


class ClerkEmulator(ClerkInstance):
    """The methods of `ClerkInstance` in process, and the same instance over HTTP as `app`."""

    @cached_property
    def app(self) -> ASGIApp:
        """Clerk's API and, under `/emulator`, the emulator's own control API."""
        app = Starlette(
            routes=[*api.routes(self), *control.routes(self)],
            exception_handlers={404: _answer_url_not_found},
        )
        app.router.redirect_slashes = False
        return _DateHeader(app, self.clock)

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """Answers the requests of an `httpx.AsyncClient` in process, without a socket."""
        return httpx.ASGITransport(self.app)


async def _answer_url_not_found(_request: Request, _error: Exception) -> Response:
    return errors.url_not_found().response()


class _DateHeader:
    """Sets `Date` from the instance's clock; the service compares it with Clerk's other times."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._clock() / 1000, usegmt=True)
                MutableHeaders(scope=message)["Date"] = date
            await send(message)

        await self._app(scope, receive, send_dated)
