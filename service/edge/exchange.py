"""One request and its answer: the `receive` and `send` of ASGI.

Sources: ASGI 3.0, "HTTP Connection Scope"; RFC 9110 and RFC 9112.
"""

import asyncio
import logging
from collections.abc import Collection, MutableMapping
from typing import Any, Protocol

from starlette.types import ASGIApp, Message

from service.body import body_for
from service.edge.lines import status_line
from service.edge.transport import OneWrite

MOST_UNREAD = 64 * 1024
"""Bytes of a body that the application has not read, after which the connection is not read."""

_WITHOUT_BODY = (204, 304)

_logger = logging.getLogger("service.edge")


class AnswerChannel(Protocol):
    """A connection, as an exchange needs it to answer."""

    wire: OneWrite

    def default_lines(self) -> bytes:
        """The lines of the headers that every answer has."""

    def answered(self, *, keep_alive: bool) -> None:
        """The answer of the exchange in turn is written. Without `keep_alive` it is the last."""

    def failed(self) -> None:
        """The application failed before the answer of the exchange in turn began."""


class Exchange:
    """Answers one request. An answer that is ready as a whole is one write.

    The head of an answer is written with the first part of its body. If an application fails
    before it has given a head, the answer is 500; later, the connection ends where it broke.
    """

    def __init__(
        self, connection: AnswerChannel, scope: MutableMapping[str, Any], *, keep_alive: bool
    ) -> None:
        self.body = body_for(scope)
        self.keep_alive = keep_alive
        self.is_begun = False
        """Whether bytes of the answer are written."""
        self.is_answered = False
        self._connection = connection
        self._scope = scope
        self._is_cut = False
        self._is_continued = False
        self._news = asyncio.Event()
        self._status: int | None = None
        """The status of the answer; None before the application has told it."""
        self._lines = b""
        self._says_close = False
        self._is_chunked = False
        self._left: int | None = None
        """Bytes of the answer's body that are still to be sent; None if its length is not told."""

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer."""
        try:
            await app(self._scope, self._receive, self._send)
        except BaseException as error:
            _logger.error("the application failed", exc_info=error)  # noqa: TRY400
        if self.is_answered or self._is_cut:
            return
        if self._status is None:
            self._connection.failed()
            return
        if not self.is_begun:  # the client must see that this answer is not complete
            self._connection.wire.write(self._head(self._status, None))
        self._connection.wire.close()

    def arrived(self, part: bytes) -> None:
        """A part of the body has arrived."""
        self.body.add(part)
        if self.body.size > MOST_UNREAD:
            self._connection.wire.pause_reading()
        self._news.set()

    def completed(self) -> None:
        """The whole request has arrived."""
        self.body.is_whole = True
        self._news.set()

    def cut(self) -> None:
        """The peer is gone, or gets no answer: the application is told that it has disconnected."""
        self._is_cut = True
        self._news.set()

    async def _receive(self) -> Message:
        if not (self._news.is_set() or self._is_cut or self.is_answered):
            self._let_continue()
            self._connection.wire.resume_reading()
            await self._news.wait()
        self._news.clear()
        if self._is_cut or self.is_answered:
            return {"type": "http.disconnect"}
        body = self.body.take()
        self._connection.wire.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self.body.is_whole}

    def _let_continue(self) -> None:
        """Ask for a body for which the client waits to be asked (RFC 9110 §10.1.1)."""
        if self._is_continued or self.is_begun or self.body.is_whole:
            return
        self._is_continued = True
        expected = dict(self._scope["headers"]).get(b"expect", b"").lower()
        if expected == b"100-continue" and self._scope["http_version"] != "1.0":
            self._connection.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _send(self, message: Message) -> None:
        if self._connection.wire.is_full and not self._is_cut:
            await self._connection.wire.drain()
        if self._is_cut or self._connection.wire.is_closing():
            await asyncio.sleep(0)  # a stream that nobody receives must not stop all others
            return
        kind = message["type"]
        if kind == "http.response.start" and self._status is None:
            self._lines = self._lines_of(message.get("headers", ()))
            self._status = message["status"]
        elif kind == "http.response.body" and self._status is not None and not self.is_answered:
            more = message.get("more_body", False)
            self._write(self._status, message.get("body", b""), more=more)
        else:
            raise RuntimeError(f"{kind} is out of order")

    def _write(self, status: int, body: bytes, *, more: bool) -> None:
        head = b"" if self.is_begun else self._head(status, None if more else len(body))
        if self._scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            body = b""
        elif self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is not as long as its Content-Length")
        self.is_begun = True
        self._connection.wire.write(head + body)
        if more:
            return
        self.is_answered = True
        # Keep nothing in memory that the budget does not count any more.
        del self._scope, self._lines
        if self.body.size:
            self.body.take()
        self._news.set()
        self._connection.answered(keep_alive=self.keep_alive)

    def _lines_of(self, headers: Collection[tuple[bytes, bytes]]) -> bytes:
        """The lines of the answer's headers, some of which are for us too.

        Raises `RuntimeError` for a line break in one: it would begin another header.
        """
        lines: list[bytes] = []
        for given, value in headers:
            name = given.lower()
            if name == b"content-length":
                self._left = int(value)
            elif name == b"transfer-encoding":
                self._is_chunked = value.lower() == b"chunked"
            elif name == b"connection" and b"close" in value.lower():
                self._says_close = True
                self.keep_alive = False
            lines += (name, b": ", value, b"\r\n")
        text = b"".join(lines)
        if text.count(b"\n") != len(headers) or text.count(b"\r") != len(headers):
            raise RuntimeError("a line break in a header of the answer")
        return text

    def _head(self, status: int, length: int | None) -> bytes:
        """The head of the answer. `length` is that of its body, or None if more of it follows."""
        lines = self._lines
        if self._left is None and not self._is_chunked and status not in _WITHOUT_BODY:
            if length is not None:
                self._left = length
                lines += b"content-length: %d\r\n" % length
            elif self._scope["http_version"] == "1.0":  # it ends with the connection
                self.keep_alive = False
            else:
                self._is_chunked = True
                lines += b"transfer-encoding: chunked\r\n"
        if not self.keep_alive and not self._says_close:
            lines += b"connection: close\r\n"
        return status_line(status) + self._connection.default_lines() + lines + b"\r\n"
