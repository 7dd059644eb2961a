"""What is not finished counts in the edge's budget for as long as it is in memory."""

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.edge.budget import Budget
from tests.e2e.processes import eventually
from tests.running import problem
from tests.service.peers import KIBIBYTE, Peer, answered, peers, served_within
from tests.service.served import KEPT, told

CHUNKED = b"POST /nope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
BEHIND_A_REQUEST: dict[str, bytes] = {
    "a head": KEPT + b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 28_000,
    "a trailer": CHUNKED + b"0\r\nX: " + b"x" * 28_000,
}


@pytest.mark.parametrize("kind", BEHIND_A_REQUEST)
async def test_it_counts_behind_an_answered_request(clerk: ClerkEmulator, kind: str) -> None:
    async with served_within(clerk, Budget()) as served, Peer(served.at) as peer:
        await answered(peer, BEHIND_A_REQUEST[kind])
        await eventually(lambda: served.at.edge.bytes_in_hand > 20_000)


async def test_small_heads_beyond_the_budget_are_refused_and_health_is_answered(
    clerk: ClerkEmulator,
) -> None:
    budget = Budget(bytes_in_hand=256 * KIBIBYTE, bytes_for_large=128 * KIBIBYTE, linger_seconds=30)
    part = b"GET /v1/me HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 6_000
    async with served_within(clerk, budget) as served, peers(served.at, 50, part):
        await eventually(lambda: served.at.edge.bytes_in_hand > budget.bytes_in_hand)
        assert told(await served.at.send(part)) == problem(503, "overloaded")
        health = await served.at.send(b"GET /he", b"althz HTTP/1.0\r\n\r\n", pause=0.05)
        assert health.status == 200
