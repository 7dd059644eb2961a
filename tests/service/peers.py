"""Open connections to a service with a budget of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.edge.budget import Budget
from service.routes.health import HEALTH_PATHS
from tests.e2e.processes import eventually
from tests.running import WEBHOOKS, settings_for
from tests.service.listening import Listening, listening
from tests.service.served import Served, head

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
NOWHERE = "postgresql://u:p@127.0.0.1:1/nowhere"
HALF = head("POST", WEBHOOKS, "Content-Length: 1000") + b"{"
"""A request that is not finished."""


@asynccontextmanager
async def served_within(
    clerk: ClerkEmulator, budget: Budget, store_url: str = NOWHERE
) -> AsyncIterator[Served]:
    """Our application with another budget. At the end nothing must be in hand."""
    settings = settings_for(clerk, store_url)
    async with listening(create_app(settings), settings, budget) as at:
        yield Served(at, clerk.config.webhook_secrets[0])
        await eventually(lambda: at.edge.bytes_in_hand == 0)
        assert len(at.edge.idle) <= budget.connections


class Peer:
    """A connection that is open during the block."""

    def __init__(self, at: Listening, *chunks: bytes) -> None:
        self._at = at
        self._chunks = chunks

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._at.port)
        self.writer.writelines(self._chunks)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def answer(self) -> bytes:
        """The bytes up to the end of the connection; empty if it is cut."""
        with suppress(ConnectionError):
            return await self.reader.read()
        return b""


@asynccontextmanager
async def peers(at: Listening, count: int, *chunks: bytes) -> AsyncIterator[list[Peer]]:
    made = [Peer(at, *chunks) for _ in range(count)]
    try:
        yield [await peer.__aenter__() for peer in made]
    finally:
        for peer in made:
            await peer.__aexit__()


async def assert_healthy(at: Listening, *statuses: int) -> None:
    for path in sorted(HEALTH_PATHS):
        assert (await at.send(head("GET", path))).status in (statuses or (200, 503))


async def answered(peer: Peer, request: bytes) -> None:
    """Send the request, and read the whole answer."""
    peer.writer.write(request)
    top = await peer.reader.readuntil(b"\r\n\r\n")
    await peer.reader.readexactly(int(top.lower().split(b"content-length: ")[1].split()[0]))
