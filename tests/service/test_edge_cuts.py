"""A peer that does not read or does not send is cut, and a connection that ended is freed."""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fastapi import FastAPI, Request, Response

from scripts.clerk_emulator import ClerkEmulator
from service.edge.budget import Budget
from service.edge.protocol import EdgeProtocol
from service.errors import answer_everything
from tests.e2e.processes import eventually
from tests.running import settings_for
from tests.service.listening import Listening, listening
from tests.service.peers import HALF, MEBIBYTE, NOWHERE, Peer, answered, peers, served_within
from tests.service.served import KEPT, head

PIECE = b"x" * MEBIBYTE


@pytest.fixture
async def talking(clerk: ClerkEmulator) -> AsyncIterator[Listening]:
    """An application with an answer larger than all buffers, and a short write deadline."""
    app = FastAPI()
    answer_everything(app)

    @app.get("/much")
    async def much() -> Response:
        return Response(PIECE * 16)

    @app.post("/never")
    async def never(request: Request) -> Response:
        await request.body()
        return Response()

    budget = Budget(write_seconds=0.5, body_seconds=0.5, linger_seconds=0.2)
    async with listening(app, settings_for(clerk, NOWHERE), budget) as at:
        yield at
        await eventually(lambda: at.edge.bytes_in_hand == 0)


async def deaf(at: Listening, asked: bytes) -> socket.socket:
    """A connection that reads nothing."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", at.port))
    await asyncio.get_running_loop().sock_sendall(peer, asked)
    return peer


async def test_a_peer_that_does_not_read_its_answer_is_cut(talking: Listening) -> None:
    peer = await deaf(talking, head("GET", "/much"))
    await eventually(lambda: talking.edge.bytes_in_hand > MEBIBYTE)
    took = await eventually(lambda: talking.edge.bytes_in_hand == 0, 10)
    assert took < 5
    assert await received(peer) < 16 * MEBIBYTE
    peer.close()


async def received(peer: socket.socket) -> int:
    """Bytes up to the end of the connection."""
    count = 0
    with suppress(ConnectionError):
        while piece := await asyncio.get_running_loop().sock_recv(peer, MEBIBYTE):
            count += len(piece)
    return count


async def test_a_peer_that_reads_a_large_answer_gets_it(talking: Listening) -> None:
    answer = await talking.send(head("GET", "/much"))
    assert len(answer.body) == 16 * MEBIBYTE


async def test_a_body_that_never_ends_in_a_route_of_any_kind_is_cut(talking: Listening) -> None:
    started = time.monotonic()
    answer = await talking.send(head("POST", "/never", "Content-Length: 100"), b"x", pause=0.1)
    assert (answer.statuses, time.monotonic() - started < 5) == ([], True)


async def test_the_rest_of_a_body_that_was_refused_is_not_awaited(talking: Listening) -> None:
    started = time.monotonic()
    kept = b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    answer = await talking.send(kept, *[b"x"] * 200, pause=0.05)
    assert (answer.statuses, time.monotonic() - started < 5) == ([404], True)


async def test_a_connection_is_idle_from_the_end_of_a_body_that_was_answered_before(
    clerk: ClerkEmulator,
) -> None:
    begun = b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + PIECE[:30_000]
    budget = Budget(head_seconds=0.3, linger_seconds=0.1)
    async with served_within(clerk, budget) as served, Peer(served.at) as peer:
        await answered(peer, begun)
        idle_since = [*served.at.edge.idle.values()]
        peer.writer.write(PIECE[:30_000])
        await eventually(lambda: [*served.at.edge.idle.values()] > idle_since)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await peer.answer()
        await answered(peer, KEPT)


ENDS: dict[str, bytes] = {
    "answered": head("GET", "/healthz"),
    "kept and left": KEPT,
    "left idle": b"",
    "left in a head": b"GET /healthz HTTP/1.1\r\nX: ",
    "left in a body": HALF,
    "answered in a body": head("POST", "/nope", "Content-Length: 1000") + b"{",
    "left with requests waiting": HALF + b" " * 999 + KEPT * 1_000,
    "refused for its form": b"nonsense\r\n\r\n",
    "refused for its length": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
    "refused for its host": b"GET / HTTP/1.1\r\n\r\n",
    "refused behind others": KEPT * 3 + b"nonsense\r\n\r\n",
    "an upgrade": b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.fixture
async def kept(clerk: ClerkEmulator) -> AsyncIterator[Listening]:
    async with served_within(clerk, Budget(linger_seconds=0.1)) as served:
        yield served.at


@pytest.mark.parametrize("end", ENDS)
async def test_a_connection_that_ended_is_freed_without_the_garbage_collector(
    kept: Listening, end: str
) -> None:
    """It may hold a quarter of a MiB, which does not trigger the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        async with peers(kept, 5, ENDS[end]) as left:
            await asyncio.gather(*(partly(peer) for peer in left))
        await eventually(lambda: connections_in_memory() == 0, 5)
    finally:
        gc.enable()


async def partly(peer: Peer) -> None:
    """The answers that arrive within a moment."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(0.3):
            await peer.reader.read()


def connections_in_memory() -> int:
    return sum(isinstance(one, EdgeProtocol) for one in gc.get_objects())
