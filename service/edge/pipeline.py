"""The exchanges of one connection, answered one after the other (RFC 9112 §9.3.2)."""

import asyncio
from collections import deque
from typing import cast

from starlette.types import ASGIApp

from service.edge.exchange import Exchange


class Pipeline:
    """Runs one exchange at a time, as a task in `tasks`. Those that arrive meanwhile wait."""

    def __init__(self, app: ASGIApp, tasks: set[asyncio.Task[None]]) -> None:
        self._app = app
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._in_turn: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self.newest: Exchange | None = None
        """The exchange of the last request, which may be answered already."""

    @property
    def waiting(self) -> int:
        """How many exchanges wait for their turn."""
        return len(self._waiting)

    @property
    def awaits_a_body(self) -> bool:
        """Whether the newest request is not complete."""
        return self.newest is not None and not self.newest.body.is_whole

    def add(self, exchange: Exchange) -> None:
        """Run the exchange, or let it wait for its turn."""
        self.newest = exchange
        if self._in_turn is None:
            self._start(exchange)
        else:
            self._waiting.append(exchange)

    def answered(self) -> None:
        """Run the next exchange: the one in turn is answered."""
        self._in_turn = None
        if self._waiting:
            self._start(self._waiting.popleft())

    def give_up_the_newest(self) -> bool:
        """End the newest exchange without an answer. True if a part of its answer is written."""
        if self._waiting:
            self._waiting.pop()
            return False
        if self._in_turn is None:
            return False
        self._in_turn.cut()
        return self._in_turn.is_begun

    def cut(self) -> None:
        """Tell the application that the peer is gone. Each exchange refers to its connection: none
        is kept.
        """
        if self._in_turn is not None:
            self._in_turn.cut()
        self._waiting.clear()
        self._in_turn = self.newest = None

    def _start(self, exchange: Exchange) -> None:
        self._in_turn = exchange
        self._tasks.add(self._loop.create_task(self._run(exchange)))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await exchange.run(self._app)
        finally:
            # A callback of the task would cost another turn of the event loop.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
