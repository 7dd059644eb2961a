"""Clerk's surface and ours as one ASGI application, on Clerk's clock."""

from email.utils import formatdate

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scripts.clerk_emulator import api, control, errors
from scripts.clerk_emulator.instance import ClerkInstance


def build_app(clerk: ClerkInstance) -> ASGIApp:
    """Unknown URLs get Clerk's own 404."""
    app = Starlette(
        routes=[*api.routes(clerk), *control.routes(clerk)],
        exception_handlers={404: errors.answer_url_not_found},
    )
    app.router.redirect_slashes = False
    return DateHeader(app, clerk)


class DateHeader:
    """The `Date` of every answer, by the instance's clock rather than the server's."""

    def __init__(self, app: ASGIApp, clerk: ClerkInstance) -> None:
        self._app = app
        self._clerk = clerk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._clerk.clock() / 1000, usegmt=True)
                MutableHeaders(scope=message)["Date"] = date
            await send(message)

        await self._app(scope, receive, send_dated)
