"""HTTP connections within the budget. Only this file uses private attributes of uvicorn.

tests/service/test_uvicorn.py lists every attribute; pyproject.toml bounds uvicorn's version.
"""

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any

import httptools
import uvicorn
from uvicorn.server import ServerState

from service.edge.account import Account, Edge
from service.edge.deadline import Deadline
from service.edge.exchange import Exchange
from service.edge.pipeline import Pipeline
from service.edge.reader import Reader
from service.edge.refusals import OVERLOADED, as_sent, refusal_of
from service.edge.transport import OneWrite
from service.errors import INTERNAL_ERROR, Rejected
from service.routes.health import is_about_health

_logger = logging.getLogger("service.edge")


class EdgeProtocol(asyncio.Protocol):
    """One connection. A head that is too long is answered with 431, one that is not HTTP with 400,
    a request above the budget with 503: after the answers to earlier requests, and then it closes.

    uvicorn makes it, tells it to shut down, and waits for the connections and tasks in its state.
    """

    def __init__(
        self, *, edge: Edge, config: uvicorn.Config, server_state: ServerState, **_: Any
    ) -> None:
        self._edge = edge
        self._root_path = config.root_path
        self._state = server_state
        self._pipeline = Pipeline(config.loaded_app, server_state.tasks)
        self._loop = asyncio.get_running_loop()
        self._account = Account(edge)
        self._budget = edge.budget
        self._is_extra = False
        self._unparsed: memoryview | None = None
        self._ending: bytes | None = None
        """The last bytes to write, after the answers that are due. Once set, nothing is parsed."""
        self._dropped = 0
        self._reading = Deadline(self._loop)
        self._writing = Deadline(self._loop)

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # Any byte that the peer does not accept pauses writing, which starts the write deadline.
        transport.set_write_buffer_limits(high=0)
        self.wire = OneWrite(transport, self._loop)
        self._reader = Reader(self, transport, self._budget, self._root_path)
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._is_extra = not self._edge.admit(self, len(self._state.connections))
        self._reading.start(self._budget.head_seconds, self._stop_reading)

    def cut(self) -> None:
        self._edge.idle.pop(self, None)
        self.wire.abort()

    def close_if_idle(self) -> None:
        if not self._reading.is_running and not self._account.requests:
            self.wire.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._state.connections.discard(self)
        self._edge.idle.pop(self, None)
        self._reading.stop()
        self._writing.stop()
        self._unparsed = None
        self._account.close()
        self._pipeline.cut()
        self.wire.resume_writing()
        self._reader.close()

    def shutdown(self) -> None:
        """Close after the answers that are due. What has arrived of their requests is parsed."""
        if not (self._account.requests and self._pipeline.awaits_a_body):
            self._drop_unparsed()
        if self._account.requests and self._pipeline.newest is not None:
            self._pipeline.newest.keep_alive = False
        else:
            self.wire.close()

    def eof_received(self) -> None:
        """The event loop closes the connection after this: send what is buffered before."""
        self.wire.send_now()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._ending is not None:
            self._drop(len(data))
            return
        if self._unparsed is None and len(data) <= self._budget.piece and self._may_parse():
            self._parse(data)
        else:
            self._unparsed = memoryview(bytes(self._unparsed or b"") + data)
            self._parse_pieces()

    def _parse_pieces(self) -> None:
        """Parse until too many requests wait, or this turn of the event loop has its share."""
        size = self._budget.piece
        for _ in range(self._budget.pieces_in_a_turn):
            if self._unparsed is None or not self._may_parse():
                break
            piece, rest = self._unparsed[:size], self._unparsed[size:]
            self._unparsed = rest or None
            self._parse(piece)
        self._hold_unparsed()
        if self._unparsed is None:
            return
        if self._account.exceeds_the_budget:
            self._refuse(OVERLOADED)
        elif self._may_parse():
            self._loop.call_soon(self._parse_pieces)

    def _may_parse(self) -> bool:
        return self._pipeline.waiting < self._budget.requests_waiting

    def _hold_unparsed(self) -> None:
        """Count the unparsed buffer, and stop reading while there is one."""
        size = 0 if self._unparsed is None else sys.getsizeof(self._unparsed.obj)
        self._account.keeps_unparsed(size)
        if size:
            self.wire.hold_reading()
        else:
            self.wire.release_reading()

    def _drop_unparsed(self) -> None:
        self._unparsed = None
        self._hold_unparsed()

    def _parse(self, data: bytes | memoryview) -> None:
        self._account.received(len(data))
        try:
            self._reader.feed(data)
        except httptools.HttpParserError as error:
            # A local variable with the cause would be a cycle that keeps this connection in memory.
            self._refuse(refusal_of(error))
        else:
            # A request that arrived complete needs neither these checks nor a deadline.
            if (
                self._reader.unfinished
                or self._pipeline.awaits_a_body
                or not self._account.requests
            ):
                self._after_a_piece()

    def _after_a_piece(self) -> None:
        """Check what the parser does not, and await the rest of a request that is not complete."""
        refusal = self._reader.check()
        if refusal is not None:
            self._refuse(refusal)
        elif self._account.exceeds_the_budget:
            self._refuse(OVERLOADED)
        elif not self._reading.is_running:
            self._await_the_rest()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > self._budget.linger_bytes:
            self.cut()

    # Requests

    def began(self, scope: dict[str, Any], *, keep_alive: bool) -> None:
        self._reading.stop()
        is_over = self._edge.bytes_in_hand > self._budget.bytes_in_hand or (
            self._is_extra and len(self._state.connections) > self._budget.connections
        )
        if is_over and not is_about_health(scope):
            raise Rejected(*OVERLOADED)
        self._edge.idle.pop(self, None)
        self._account.began()
        self._dropped = 0
        self._pipeline.add(Exchange(self, scope, keep_alive=keep_alive and not self._is_extra))
        if self._pipeline.waiting:
            self.wire.pause_reading()

    def arrived(self, part: bytes) -> None:
        newest = self._pipeline.newest
        if newest is not None and not newest.is_answered:
            newest.arrived(part)
        if not self._account.requests:  # the request is already answered
            self._drop(self._account.dropped())

    def completed(self) -> None:
        if self._pipeline.newest is not None:
            self._pipeline.newest.completed()
        self._reading.stop()

    def parsed_again(self, size: int) -> None:
        self._account.dropped()
        self._account.received(size)

    # Answers

    def default_lines(self) -> bytes:
        return self._edge.default_lines(self._state.default_headers)

    def answered(self, *, keep_alive: bool) -> None:
        self._account.answered(self._reader.unfinished)
        self._state.total_requests += 1
        if self.wire.is_closing():
            return
        if not keep_alive:
            if self._pipeline.awaits_a_body and not self._account.requests:
                self._end_with(b"")
            else:
                self.wire.close()
            return
        self.wire.resume_reading()
        self._pipeline.answered()
        if self._ending is not None:
            if not self._account.requests:
                self._end()
            return
        if self._unparsed is not None:
            self._parse_pieces()
        if not self._account.requests:
            self._edge.became_idle(self)
            if self._reader.head_is_open and not self._reading.is_running:
                self._await_the_rest()

    def failed(self) -> None:
        self.wire.write(as_sent(INTERNAL_ERROR, self.default_lines()))
        self.answered(keep_alive=False)

    def _refuse(self, refusal: tuple[int, str]) -> None:
        """Answer with a problem document and close, after the answers to earlier requests."""
        if self._ending is not None or self.wire.is_closing():
            return
        _logger.info("refused: %s", refusal[1])
        self._end_with(as_sent(refusal, self.default_lines()))

    def _end_with(self, last: bytes) -> None:
        self._ending = last
        self._drop_unparsed()
        self._reading.stop()
        if self._pipeline.awaits_a_body and self._account.requests:
            self._account.gave_up()
            if self._pipeline.give_up_the_newest():
                self._ending = b""  # the client would read a second answer as part of this one
        if not self._account.requests:
            self._end()

    def _end(self) -> None:
        """Close our side, and discard for a moment what still arrives.

        Closing at once would reset a peer that still sends, before it has read its answer.
        """
        self._edge.became_idle(self)
        self.wire.write(self._ending or b"")
        if self._is_extra:
            self.wire.close()
            return
        with suppress(OSError, RuntimeError):  # the peer has closed already
            self.wire.write_eof()
        self.wire.resume_reading()
        self._reading.start(self._budget.linger_seconds, self._stop_reading)

    # Deadlines

    def _await_the_rest(self) -> None:
        if self._pipeline.awaits_a_body and not self._reader.head_is_open:
            self._reading.start(self._budget.body_seconds, self._stop_reading)
        elif self._reader.head_is_open or (self._reader.unfinished and not self._account.requests):
            self._reading.start(self._budget.head_seconds, self._stop_reading)
        elif not self._account.requests:  # the end of a body that was answered before
            self._account.dropped()
            self._edge.became_idle(self)

    def _stop_reading(self) -> None:
        if self._ending is not None:
            self.cut()
        elif self._unparsed is not None:  # we are late, not the peer
            self._await_the_rest()
        else:
            self._end_with(b"")

    def pause_writing(self) -> None:
        self.wire.pause_writing()
        self._account.keeps_unsent(self.wire.get_write_buffer_size())
        self._writing.start(self._budget.write_seconds, self.cut)

    def resume_writing(self) -> None:
        self.wire.resume_writing()
        self._account.keeps_unsent(0)
        self._writing.stop()
