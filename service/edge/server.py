"""uvicorn, with an end that loses nothing: drain, finish what is in hand, exit 0."""

import asyncio
import socket
from collections.abc import Sequence
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app
from service.services import services_of
from service.settings import Settings

MOST_HEADERS = 100
MOST_HELD_BACK = 64 * 1024
LONGEST_HEAD = 32 * 1024
"""Bytes of a request's headers. What passes by a usual proxy is a quarter of it."""


class DrainingServer(uvicorn.Server):
    """Tells the balancer first, and stops accepting a little later."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._draining = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Enters the lifespan by itself: uvicorn would make a traceback in the log of its error."""
        with self.capture_signals():
            async with self._app.router.lifespan_context(self._app):
                await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at the second, drop everything at the third.

        The base class raises the signal again after a clean end. To stop when asked to is
        success, so the signal is not recorded here and the process exits with 0.
        """
        del sig, frame
        if self._draining or not self.started:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._draining = True
        services_of(self._app).readiness.drain()
        asyncio.get_running_loop().call_later(self._drain_seconds, self._stop_accepting)

    def _stop_accepting(self) -> None:
        self.should_exit = True


class OneWrite:
    """A transport that sends what is written in the next turn of the event loop, or when told to.

    An answer's head and body come as two writes, and a call to the system costs more than both.
    And who asks at the same time is answered at the same time: a client is woken once, not as
    often as it has requests out, which costs more still.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self.send_now)
        self._written.append(data)
        self._size += len(data)
        if self._size > MOST_HELD_BACK:  # the transport tells when to pause, once it knows
            self.send_now()

    def close(self) -> None:
        self.send_now()
        self._transport.close()

    def send_now(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self._transport.is_closing():
            self._transport.write(b"".join(written))


class BoundedHeadProtocol(HttpToolsProtocol):
    """HTTP whose head ends: the parser alone would take headers for as long as they come.

    Too many, or too much of them, is answered with 400 and the connection is closed. It is closed
    too when a head takes longer than `head_seconds`.
    """

    head_seconds = 15.0

    _head_deadline: asyncio.TimerHandle | None = None
    _head_is_open = False
    _unfinished_bytes = 0
    """Since the last head, or part of a body, that was complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._one_write = OneWrite(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._one_write))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The event loop closes the connection now: what is written already goes out before."""
        self._one_write.send_now()

    def data_received(self, data: bytes) -> None:
        self._unfinished_bytes += len(data)
        super().data_received(data)
        # A header is told when it is complete, and so is a trailer: one that never ends has to be
        # noticed here.
        if self._unfinished_bytes > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("Head too long.")
        elif self._head_deadline is None and self._wants_a_head():
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open = True

    def on_headers_complete(self) -> None:
        self._head_came()
        if len(self.headers) > MOST_HEADERS or self._head_is_long():
            raise ValueError("head too long")
        super().on_headers_complete()
        self._head_is_open = False
        self._unfinished_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unfinished_bytes = 0

    def on_message_complete(self) -> None:
        if len(self.headers) > MOST_HEADERS:  # trailers are among them by now
            raise ValueError("too many trailers")
        super().on_message_complete()
        self._unfinished_bytes = 0

    def _head_is_long(self) -> bool:
        """Its headers are looked at one by one only if more than that has come at all."""
        return self._unfinished_bytes > LONGEST_HEAD and _length(self.headers) > LONGEST_HEAD

    def _wants_a_head(self) -> bool:
        """Nothing is being answered, or a head has begun; one that came whole set no deadline."""
        return self._head_is_open or self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.head_seconds, self._look_once_more)

    def _look_once_more(self) -> None:
        """If this process stood still meanwhile, the head is there and has not been read yet."""
        self._head_deadline = self.loop.call_later(0.1, self.transport.close)

    def _head_came(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


def _length(headers: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def serve(settings: Settings) -> int:
    """Serve until told to stop. 0 when that went as it should.

    Raises `StorageUnavailable` when there is no store to begin with.
    """
    app = create_app(settings)
    server = DrainingServer(_config(app, settings), app, settings.drain_seconds)
    server.run()
    return 0 if server.started else 1


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        lifespan="off",
        http=BoundedHeadProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=2000,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
