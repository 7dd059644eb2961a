"""The limits of the edge, for all connections together. Sizes in bytes, times in seconds.

The reasons, and what happens above each limit: docs/decisions/0012-one-budget-at-the-edge.md.
"""

import sys
from dataclasses import dataclass

if sys.platform != "win32":
    import resource

MOST_CONNECTIONS = 4_000
FEWEST_CONNECTIONS = 16
METRICS_CONNECTIONS = 64
"""Connections to METRICS_PORT, for scrapers and probes."""

OTHER_DESCRIPTORS = 100
"""Descriptors kept for files, pipes and connections to Clerk, without those to the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of one server, with the values used in production as defaults."""

    connections: int = MOST_CONNECTIONS
    health_connections: int = 32
    """Connections above `connections`, which are answered about health only."""

    requests_waiting: int = 16
    """About how many pipelined requests of one connection may wait for earlier answers."""

    bytes_in_hand: int = 32 * 1024 * 1024
    """Bytes of unanswered requests and unsent answers, of all connections together."""

    bytes_for_large: int = 24 * 1024 * 1024
    """The part of `bytes_in_hand` for connections that have more than `small` in hand."""

    small: int = 16 * 1024
    """Larger than a usual webhook."""

    tiny: int = 4 * 1024
    """Larger than a usual question about health. Above `bytes_in_hand`, what is not complete may
    have no more.
    """

    request_overhead: int = 2 * 1024
    """The memory that a request takes besides its own bytes."""

    piece: int = 4 * 1024
    """Bytes that are parsed in one call, which bounds the requests that one call can start."""

    pieces_in_a_turn: int = 16
    """Pieces of one connection that are parsed in one turn of the event loop."""

    head_bytes: int = 32 * 1024
    """The request line and all headers. Common proxies allow a quarter of it."""

    headers: int = 100
    head_seconds: float = 15.0
    body_seconds: float = 30.0
    """For the whole body. The webhook route allows less: `service/routes/webhooks.py`."""

    write_seconds: float = 20.0
    """For a peer to accept the bytes of an answer."""

    idle_seconds: int = 65
    """Between two requests. Longer than the 60 seconds for which proxies reuse a connection."""

    linger_seconds: float = 1.0
    """For a refused peer to read its answer, while the rest of its request is discarded."""

    linger_bytes: int = 2 * 1024 * 1024
    """Bytes discarded of a request that is already answered: twice the largest body accepted."""


def budget_of_this_process(store_connections: int) -> Budget:
    """The budget, with as many connections as the limit of descriptors (`ulimit -n`) allows."""
    if sys.platform == "win32":
        return Budget()
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return Budget()
    free = descriptors - OTHER_DESCRIPTORS - store_connections - Budget().health_connections
    return Budget(connections=min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, free)))
