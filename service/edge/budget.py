"""What one server gives to its peers: every figure of the edge. Sizes in bytes, times in seconds.

Why these, and what is done with what exceeds them: docs/decisions/0010-one-budget-at-the-edge.md.
"""

import sys
from dataclasses import dataclass

if sys.platform != "win32":
    import resource

MOST_CONNECTIONS = 4_000
FEWEST_CONNECTIONS = 16
METRICS_CONNECTIONS = 64
"""Of METRICS_PORT, for scrapers and probes."""

OTHER_DESCRIPTORS = 100
"""Files, pipes and connections to Clerk. Those to the store come on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of one server. The defaults are those that it runs with."""

    connections: int = MOST_CONNECTIONS
    health_connections: int = 32
    """On top of `connections`, and good for nothing but a question about health."""

    requests_waiting: int = 16
    """Requests of one connection that wait for an answer to an earlier one, about."""

    bytes_in_hand: int = 32 * 1024 * 1024
    """Requests that are not answered yet, and answers that are not sent yet, over all."""

    bytes_for_large: int = 24 * 1024 * 1024
    """The part of it that connections with more than `small` bytes in hand may use."""

    small: int = 16 * 1024
    """More than a usual webhook has."""

    request_overhead: int = 2 * 1024
    """What a request takes beside its own bytes."""

    piece: int = 4 * 1024
    """Bytes that are parsed at once: what bounds the requests that begin in one piece."""

    pieces_in_a_turn: int = 16
    """Of one connection, so that the others have their turn."""

    head_bytes: int = 32 * 1024
    """Of a request line and its headers. Usual proxies let a quarter of it pass."""

    headers: int = 100
    head_seconds: float = 15.0
    body_seconds: float = 30.0
    """For the whole body. The webhook route allows less: `service/routes/webhooks.py`."""

    write_seconds: float = 20.0
    """For bytes that the peer does not take."""

    idle_seconds: int = 65
    """Between two requests. Longer than the 60 seconds of usual proxies, who reuse connections."""

    linger_seconds: float = 1.0
    """For a refused peer to read its answer, while the rest of its request is dropped."""

    linger_bytes: int = 2 * 1024 * 1024
    """Of a request that is answered already, and dropped: twice the largest body we take."""


def budget_of_this_process(store_connections: int) -> Budget:
    """The budget whose connections fit under the limit of descriptors (`ulimit -n`)."""
    if sys.platform == "win32":
        return Budget()
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return Budget()
    free = descriptors - OTHER_DESCRIPTORS - store_connections - Budget().health_connections
    return Budget(connections=min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, free)))
