"""HTTP connections within the budget. Only this file uses private attributes of uvicorn.

tests/service/test_uvicorn.py lists every attribute; pyproject.toml bounds uvicorn's version.
"""

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.edge.account import Account, Edge
from service.edge.deadline import Deadline
from service.edge.head import check_head, without_upgrade
from service.edge.refusals import (
    BAD_REQUEST,
    HEAD_TOO_LONG,
    NO_TUNNEL,
    OVERLOADED,
    as_sent,
    refusal_of,
)
from service.edge.transport import OneWrite
from service.errors import Rejected
from service.routes.health import HEALTH_PATHS

_HEALTH_PATHS = frozenset(path.encode() for path in HEALTH_PATHS)

_logger = logging.getLogger("service.edge")


class EdgeProtocol(HttpToolsProtocol):
    """One connection. A head that is too long is answered with 431, one that is not HTTP with 400,
    a request above the budget with 503: after the answers to earlier requests, and then it closes.
    """

    def __init__(self, *, edge: Edge, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._edge = edge
        self._account = Account(edge)
        self._budget = edge.budget
        self._is_extra = False
        self._head_is_open = False
        self._unfinished = 0
        """Bytes received since the last complete head or part of a body."""
        self._unparsed: memoryview | None = None
        self._ending: bytes | None = None
        """The last bytes to write, after the answers that are due. Once set, nothing is parsed."""
        self._dropped = 0
        self._reading = Deadline(self.loop)
        self._writing = Deadline(self.loop)

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # Any byte that the peer does not accept pauses writing, which starts the write deadline.
        transport.set_write_buffer_limits(high=0)
        self._wire = OneWrite(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._wire))
        self._is_extra = not self._edge.admit(self, len(self.connections))
        self._reading.start(self._budget.head_seconds, self._stop_reading)

    def cut(self) -> None:
        self._edge.idle.pop(self, None)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._edge.idle.pop(self, None)
        self._reading.stop()
        self._writing.stop()
        self._unparsed = None
        self._account.close()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._drop_unparsed()
        super().shutdown()

    def eof_received(self) -> None:
        """The event loop closes the connection after this: send what is buffered before."""
        self._wire.send_now()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._ending is not None:
            self._drop(len(data))
            return
        if self._unparsed is None and len(data) <= self._budget.piece and self._may_wait():
            self._parse(data)
        else:
            self._unparsed = memoryview(bytes(self._unparsed or b"") + data)
            self._parse_pieces()

    def _parse_pieces(self) -> None:
        """Parse until too many requests wait, or this turn of the event loop has its share."""
        size = self._budget.piece
        for _ in range(self._budget.pieces_in_a_turn):
            if self._unparsed is None or not self._may_wait():
                break
            piece, rest = self._unparsed[:size], self._unparsed[size:]
            self._unparsed = rest or None
            self._parse(piece)
        self._hold_unparsed()
        if self._unparsed is not None and self._may_wait():
            self.loop.call_soon(self._parse_pieces)

    def _may_wait(self) -> bool:
        return len(self.pipeline) < self._budget.requests_waiting

    def _hold_unparsed(self) -> None:
        """Count the unparsed buffer, and stop reading while there is one."""
        size = 0 if self._unparsed is None else sys.getsizeof(self._unparsed.obj)
        self._account.keeps_unparsed(size)
        if size:
            self._wire.hold_reading()
        else:
            self._wire.release_reading()

    def _drop_unparsed(self) -> None:
        self._unparsed = None
        self._hold_unparsed()

    def _parse(self, data: bytes | memoryview) -> None:
        self._unset_keepalive_if_required()
        self._unfinished += len(data)
        self._account.received(len(data))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError as error:
            # A local variable with the cause would be a cycle that keeps this connection in memory.
            self._refuse(refusal_of(error))
        else:
            # A request that arrived complete needs neither these checks nor a deadline.
            if self._unfinished or self.cycle.more_body or not self._account.requests:
                self._after_a_piece()

    def _after_a_piece(self) -> None:
        """Check an incomplete request, for which the parser has not called back yet."""
        if self._unfinished > self._budget.head_bytes:
            self._refuse(HEAD_TOO_LONG if self._head_is_open else BAD_REQUEST)
        elif self._account.exceeds_the_budget:
            self._refuse(OVERLOADED)
        elif not self._reading.is_running:
            self._await_the_rest()

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Parse the head again without its upgrade: the parser would not parse what follows it."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = without_upgrade(method, self.url, version, self.headers)
        self._account.dropped()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head + rest)

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > self._budget.linger_bytes:
            self.cut()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open = True

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version
        check_head(self.url, version, self.headers, self._unfinished, self._budget)
        if self.parser.should_upgrade():  # the parser stops after this head
            if self.parser.get_method() == b"CONNECT":
                raise Rejected(*NO_TUNNEL)
            return
        self._reading.stop()
        self._head_is_open = False
        self._unfinished = 0
        self._admit()
        super().on_headers_complete()
        self._edge.idle.pop(self, None)
        self._account.began()
        self._dropped = 0
        if self._is_extra:
            self.cycle.keep_alive = False
        self.headers = []  # trailers must not become headers (RFC 9110 §6.5.1)

    def _admit(self) -> None:
        is_over = self._edge.bytes_in_hand > self._budget.bytes_in_hand or (
            self._is_extra and len(self.connections) > self._budget.connections
        )
        if is_over and self.url.partition(b"?")[0] not in _HEALTH_PATHS:
            raise Rejected(*OVERLOADED)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unfinished = 0
        if not self._account.requests:  # the request is already answered
            self._drop(self._account.dropped())

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        if len(self.headers) > self._budget.headers:  # trailers are collected here
            raise Rejected(*BAD_REQUEST)
        super().on_message_complete()
        self.cycle.more_body = False
        self._unfinished = 0
        self._reading.stop()

    # Answers

    def on_response_complete(self) -> None:
        self._account.answered()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._unparsed is not None:
            self._parse_pieces()
        if self._account.requests:
            return
        if self._ending is not None:
            self._end()
        else:
            self._edge.idle[self] = None
            if self._head_is_open and not self._reading.is_running:
                self._await_the_rest()

    def _refuse(self, refusal: tuple[int, str]) -> None:
        """Answer with a problem document and close, after the answers to earlier requests."""
        if self._ending is not None or self.transport.is_closing():
            return
        _logger.info("refused: %s", refusal[1])
        self._end_with(as_sent(refusal, self.server_state.default_headers))

    def _end_with(self, last: bytes) -> None:
        self._ending = last
        self._drop_unparsed()
        self._reading.stop()
        if self.cycle is not None and self.cycle.more_body and self._account.requests:
            self._give_up_the_newest()
        if not self._account.requests:
            self._end()

    def _give_up_the_newest(self) -> None:
        """End the newest request, whose body will not be completed."""
        self._account.gave_up()
        if self._account.requests:
            self.pipeline.popleft()
            return
        if self.cycle.response_started:  # the client would read a second answer as part of this one
            self._ending = b""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _end(self) -> None:
        """Close our side, and discard for a moment what still arrives.

        Closing at once would reset a peer that still sends, before it has read its answer.
        """
        self._edge.idle[self] = None
        self._unset_keepalive_if_required()
        self.transport.write(self._ending or b"")
        if self._is_extra:
            self.transport.close()
            return
        with suppress(OSError, RuntimeError):  # the peer has closed already
            self.transport.write_eof()
        self.flow.resume_reading()
        self._reading.start(self._budget.linger_seconds, self._stop_reading)

    # Deadlines

    def _await_the_rest(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self._head_is_open:
            self._reading.start(self._budget.body_seconds, self._stop_reading)
        elif self._head_is_open or not self._account.requests:
            self._reading.start(self._budget.head_seconds, self._stop_reading)

    def _stop_reading(self) -> None:
        if self._ending is not None:
            self.cut()
        elif self._unparsed is not None:  # we are late, not the peer
            self._await_the_rest()
        else:
            self._end_with(b"")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._account.keeps_unsent(self.transport.get_write_buffer_size())
        self._writing.start(self._budget.write_seconds, self.cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._account.keeps_unsent(0)
        self._writing.stop()
