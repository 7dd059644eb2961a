"""One log line for each request, with its route, status, duration and outcome."""

import re
import time
from collections.abc import Callable
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from service.log import facts_of, note

NOSNIFF = (b"x-content-type-options", b"nosniff")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class CanonicalLog:
    """Writes the line, gives every request an id, and answers an unhandled exception with 500."""

    def __init__(
        self,
        app: ASGIApp,
        internal_error: Callable[[], ASGIApp],
        observe: Callable[[str, int, float], None],
        log: FilteringBoundLogger,
        write_line: Callable[[dict[str, Any]], None],
    ) -> None:
        self._app = app
        self._internal_error = internal_error
        self._observe = observe
        self._log = log
        self._write_line = write_line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        response = _Response(send, _request_id(scope))
        note(scope, request_id=response.request_id, method=scope["method"])
        try:
            await self._app(scope, receive, response)
        except Exception as error:  # noqa: BLE001 - the outermost handler of every request
            self._log.error("unhandled_error", request_id=response.request_id, exc_info=error)
            if not response.status:
                await self._internal_error()(scope, receive, response)
        finally:
            self._write(scope, response.status, time.perf_counter() - started)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, because a raw path may hold personal data.
        route = getattr(scope.get("route"), "path", "unmatched")
        self._observe(route, status, seconds)
        self._write_line(
            {
                "route": route,
                "status": status,
                "duration_ms": round(seconds * 1000, 2),
                **{name: fact for name, fact in facts_of(scope).items() if fact is not None},
            }
        )


class _Response:
    """Wraps `send`: remembers the status, and adds the request's id and `nosniff`."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self.request_id.encode())]
            if NOSNIFF not in headers:
                headers.append(NOSNIFF)
            message = {**message, "headers": headers}
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's `X-Request-ID`, if it is safe in a log; otherwise a new id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{getrandbits(128):032x}"  # need not be unpredictable
