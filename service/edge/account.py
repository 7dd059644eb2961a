"""Count the bytes and requests in hand: of each connection, and of all connections together.

In hand is what the server holds in memory: received and not answered, or answered and not sent.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from service.edge.budget import Budget
from service.edge.lines import header_lines


class Closeable(Protocol):
    """A connection that `Edge` may close."""

    def cut(self) -> None:
        """Close it at once."""

    def close_if_idle(self) -> None:
        """Close it, unless another deadline runs for it."""


class Edge:
    """The totals of all connections of one server."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.bytes_in_hand = 0
        self.idle: dict[Closeable, float] = {}
        """Connections without a request, and since when, on the loop's clock. The one that has been
        idle longest is the first.
        """
        self._closer: asyncio.TimerHandle | None = None
        self._default_headers: Sequence[tuple[bytes, bytes]] = ()
        self._default_lines = b""

    def default_lines(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The lines of these headers. uvicorn makes a new list each second, and changes none."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = header_lines(headers)
        return self._default_lines

    def became_idle(self, connection: Closeable) -> None:
        """A connection has no request from now on. After `idle_seconds` it is closed."""
        loop = asyncio.get_running_loop()
        self.idle.pop(connection, None)
        self.idle[connection] = loop.time()
        if self._closer is None:
            self._closer = loop.call_later(self.budget.idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        """Close the connections whose time is over. One timer for all costs less than one each."""
        loop = asyncio.get_running_loop()
        self._closer = None
        for connection, since in [*self.idle.items()]:
            until = since + self.budget.idle_seconds
            if until > loop.time():
                self._closer = loop.call_at(until, self._close_idle)
                return
            connection.close_if_idle()

    def admit(self, newcomer: Closeable, connections: int) -> bool:
        """Whether it may ask for more than health. `connections` counts open ones, with this one.

        Above the budget, the connection that has been idle longest is cut. If none is idle, some
        more are accepted for questions about health, and beyond those the newcomer is cut.
        """
        self.became_idle(newcomer)
        if connections <= self.budget.connections:
            return True
        longest = next(iter(self.idle))
        if longest is not newcomer:
            longest.cut()
            return True
        if connections > self.budget.connections + self.budget.health_connections:
            newcomer.cut()
        return False


class Account:
    """The bytes that one connection has in hand. They count in `edge.bytes_in_hand` too."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._head = 0
        """Bytes of a request whose head is not complete."""
        self._requests: deque[int] = deque()
        """Bytes of each request that is not answered, the oldest first."""
        self._unparsed = 0
        self._unsent = 0

    @property
    def requests(self) -> int:
        """How many requests are not answered."""
        return len(self._requests)

    @property
    def exceeds_the_budget(self) -> bool:
        """Whether this one has more in hand than all connections together leave it."""
        budget, total = self._edge.budget, self._edge.bytes_in_hand
        if total <= budget.bytes_for_large:
            return False
        most = budget.small if total <= budget.bytes_in_hand else budget.tiny
        return self._head + sum(self._requests) + self._unparsed > most

    def received(self, size: int) -> None:
        """Count received bytes as part of the newest request, until it is answered."""
        self._edge.bytes_in_hand += size
        if self._requests:
            self._requests[-1] += size
        else:
            self._head += size

    def began(self) -> None:
        """Start a request: its head is complete."""
        overhead = self._edge.budget.request_overhead
        self._requests.append(self._head + overhead)
        self._edge.bytes_in_hand += overhead
        self._head = 0

    def answered(self, unfinished: int) -> None:
        """End the oldest request. `unfinished` bytes that came after the last one stay in hand."""
        if self._requests:
            self._edge.bytes_in_hand -= self._requests.popleft()
            if unfinished and not self._requests:
                self.received(unfinished)

    def gave_up(self) -> None:
        """End the newest request."""
        self._edge.bytes_in_hand -= self._requests.pop()

    def dropped(self) -> int:
        """Discard the bytes that belong to no request. Returns how many."""
        size, self._head = self._head, 0
        self._edge.bytes_in_hand -= size
        return size

    def keeps_unparsed(self, size: int) -> None:
        """Set the size of the buffer that is not parsed yet."""
        self._edge.bytes_in_hand += size - self._unparsed
        self._unparsed = size

    def keeps_unsent(self, size: int) -> None:
        """Set the size of answers that the peer has not accepted yet."""
        self._edge.bytes_in_hand += size - self._unsent
        self._unsent = size

    def close(self) -> None:
        """Discard everything that the connection has in hand."""
        self.dropped()
        self.keeps_unparsed(0)
        self.keeps_unsent(0)
        while self._requests:
            self.gave_up()
