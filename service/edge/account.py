"""What is in hand: of one connection, and of all connections of a server together."""

from collections import deque
from typing import Protocol

from service.edge.budget import Budget


class Connection(Protocol):
    """What `Edge` asks of a connection."""

    def cut(self) -> None: ...


class Edge:
    """What all connections of one server have in hand together."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.bytes_in_hand = 0
        self.idle: dict[Connection, None] = {}
        """Connections without a request, the one that is idle for longest first."""

    def admit(self, newcomer: Connection, connections: int) -> bool:
        """Whether it is good for more than health. `connections` are open, with this one.

        Beyond the budget, the connection that is idle for longest is cut. If all others are at
        work, some more are taken, so that health is answered; beyond them the newcomer is cut.
        """
        self.idle[newcomer] = None
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
    """The bytes that one connection has in hand, as parts of the edge's."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._head = 0
        """Of a request that has no complete head yet."""
        self._requests: deque[int] = deque()
        """Of those that are not answered, in the order of their answers."""
        self._unparsed = 0
        self._unsent = 0

    @property
    def requests(self) -> int:
        """How many are not answered."""
        return len(self._requests)

    @property
    def exceeds_the_budget(self) -> bool:
        """Whether this connection has much in hand, where only a little may be added."""
        budget = self._edge.budget
        if self._edge.bytes_in_hand <= budget.bytes_for_large:
            return False
        return self._head + sum(self._requests) + self._unparsed > budget.small

    def received(self, size: int) -> None:
        """The bytes count as the last request's, whose body they may be, until its answer."""
        self._edge.bytes_in_hand += size
        if self._requests:
            self._requests[-1] += size
        else:
            self._head += size

    def began(self) -> None:
        """A head is complete."""
        overhead = self._edge.budget.request_overhead
        self._requests.append(self._head + overhead)
        self._edge.bytes_in_hand += overhead
        self._head = 0

    def answered(self) -> None:
        """The first of the requests."""
        if self._requests:
            self._edge.bytes_in_hand -= self._requests.popleft()

    def gave_up(self) -> None:
        """The last of the requests."""
        self._edge.bytes_in_hand -= self._requests.pop()

    def dropped(self) -> int:
        """How many bytes without a request there were, and are not in hand any more."""
        size, self._head = self._head, 0
        self._edge.bytes_in_hand -= size
        return size

    def keeps_unparsed(self, size: int) -> None:
        self._edge.bytes_in_hand += size - self._unparsed
        self._unparsed = size

    def keeps_unsent(self, size: int) -> None:
        self._edge.bytes_in_hand += size - self._unsent
        self._unsent = size

    def close(self) -> None:
        self.dropped()
        self.keeps_unparsed(0)
        self.keeps_unsent(0)
        while self._requests:
            self.gave_up()
