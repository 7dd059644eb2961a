"""Faults of the Backend API and of the key endpoints, on request.

A fault applies to the calls that match it, `times` times or until the faults are cleared. If
several match, the one that was added first applies. Two faults thus make a sequence: two answers
503, then one 429, then the true answers.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from scripts.clerk_emulator import errors
from scripts.clerk_emulator.config import new_id

Respond = Callable[[], Awaitable[Response]]

_CHUNK = 64 * 1024


class FaultKind(StrEnum):
    """What goes wrong. The first five change the true answer; the others replace it."""

    SLOW = "slow"
    """The true answer, `seconds` late."""
    HOLD = "hold"
    """The true answer, as soon as the faults are cleared."""
    DRIP = "drip"
    """The true answer, byte by byte, over `seconds`."""
    TRUNCATED = "truncated"
    """The first half of the true answer's body."""
    WRONG_USER = "wrong_user"
    """The true answer under another id."""
    RATE_LIMIT = "rate_limit"
    """429 with `retry_after`, or without."""
    ERROR = "error"
    """`status` with Clerk's error body."""
    HTML = "html"
    """`status` with an HTML page, as from a CDN."""
    RAW = "raw"
    """`status` with `body` as `content_type`."""
    REDIRECT = "redirect"
    """302 to `location`."""
    HUGE = "huge"
    """`size` bytes of JSON."""
    GZIP_BOMB = "gzip_bomb"
    """`size` bytes of JSON, compressed a thousandfold."""
    DISCONNECT = "disconnect"
    """The connection closes before the answer is complete."""


class ApiFault(BaseModel):
    """One fault. `on` is `api`, `jwks`, `all`, or the name of one operation (`GetUser`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    on: str = "api"
    times: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=0.0, ge=0.0)
    status: int = Field(default=500, ge=200, le=599)
    retry_after: str | None = None
    location: str = "http://169.254.169.254/latest/meta-data/"
    size: int = Field(default=100_000_000, ge=0)
    body: str = ""
    content_type: str = "application/json"

    def matches(self, operation: str, group: Literal["api", "jwks"]) -> bool:
        return self.on in {"all", group, operation}


class ActiveFault:
    """A fault, and how many times it still applies (None: without end)."""

    def __init__(self, fault: ApiFault) -> None:
        self.fault = fault
        self.left = fault.times
        self.cleared = asyncio.Event()


class Faults:
    """The faults of the instance, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    def add(self, *faults: ApiFault) -> None:
        self._active.extend(ActiveFault(fault) for fault in faults)

    def clear(self) -> None:
        """Remove all faults, and answer the calls that were held."""
        for active in self._active:
            active.cleared.set()
        self._active.clear()

    def report(self) -> list[ApiFault]:
        """The faults that still apply."""
        return [active.fault for active in self._active if active.left != 0]

    async def answer(
        self, operation: str, group: Literal["api", "jwks"], respond: Respond
    ) -> Response:
        """The true answer, or the answer of the first fault that matches."""
        active = self._next(operation, group)
        if active is None:
            return await respond()
        if active.left is not None:
            active.left -= 1
        if active.fault.kind in _REPLACEMENTS:
            return _REPLACEMENTS[active.fault.kind](active.fault)
        return await _changed(active, await respond())

    def _next(self, operation: str, group: Literal["api", "jwks"]) -> ActiveFault | None:
        matching = (
            active
            for active in self._active
            if active.left != 0 and active.fault.matches(operation, group)
        )
        return next(matching, None)


async def _changed(active: ActiveFault, response: Response) -> Response:
    fault = active.fault
    if fault.kind is FaultKind.SLOW:
        await asyncio.sleep(fault.seconds)
        return response
    if fault.kind is FaultKind.HOLD:
        await active.cleared.wait()
        return response
    if fault.kind is FaultKind.DRIP:
        return _drip(response, fault.seconds)
    if fault.kind is FaultKind.TRUNCATED:
        half = response.body[: len(response.body) // 2]
        return Response(half, response.status_code, media_type=response.media_type)
    return _under_another_id(response)


def _drip(response: Response, seconds: float) -> Response:
    body = bytes(response.body)

    async def bytewise() -> AsyncIterator[bytes]:
        for index in range(len(body)):
            yield body[index : index + 1]
            await asyncio.sleep(seconds / len(body))

    return StreamingResponse(bytewise(), response.status_code, media_type=response.media_type)


def _under_another_id(response: Response) -> Response:
    answer = orjson.loads(response.body)
    if isinstance(answer, dict) and "id" in answer:
        answer["id"] = new_id("user")
    return Response(orjson.dumps(answer), response.status_code, media_type=response.media_type)


def _huge(fault: ApiFault) -> Response:
    async def blanks() -> AsyncIterator[bytes]:
        for start in range(0, fault.size, _CHUNK):
            yield b" " * min(_CHUNK, fault.size - start)

    return StreamingResponse(blanks(), 200, media_type="application/json")


def _gzip_bomb(fault: ApiFault) -> Response:
    body = gzip.compress(b" " * fault.size)
    headers = {"Content-Encoding": "gzip"}
    return Response(body, 200, headers=headers, media_type="application/json")


class _Disconnect(Response):
    """Announces a body and ends without it, so the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


_REPLACEMENTS: dict[FaultKind, Callable[[ApiFault], Response]] = {
    FaultKind.RATE_LIMIT: lambda fault: errors.too_many_requests(fault.retry_after).response(),
    FaultKind.ERROR: lambda fault: errors.server_error(fault.status).response(),
    FaultKind.HTML: lambda fault: HTMLResponse(
        "<html><body><h1>Bad gateway</h1></body></html>", fault.status
    ),
    FaultKind.RAW: lambda fault: Response(fault.body, fault.status, media_type=fault.content_type),
    FaultKind.REDIRECT: lambda fault: RedirectResponse(fault.location, 302),
    FaultKind.HUGE: _huge,
    FaultKind.GZIP_BOMB: _gzip_bomb,
    FaultKind.DISCONNECT: lambda _fault: _Disconnect(),
}
