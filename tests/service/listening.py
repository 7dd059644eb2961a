"""The service behind a real socket, served as `python -m service` serves it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from scripts.clerk_emulator.server import AnsweringServer
from service.edge.account import Edge
from service.edge.budget import Budget
from service.edge.server import server_config
from service.settings import Settings


@dataclass(frozen=True)
class Answer:
    """The bytes received up to the end of the connection."""

    raw: bytes

    @property
    def status(self) -> int:
        """0 when there was no answer."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def statuses(self) -> list[int]:
        """Of all answers on the connection."""
        return [int(one[:3]) for one in self.raw.split(b"HTTP/1.1 ")[1:]]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


@dataclass(frozen=True)
class Listening:
    """A port on which a service answers."""

    port: int
    edge: Edge

    async def send(self, *chunks: bytes, pause: float = 0.0, end: bool = False) -> Answer:
        """Write the chunks, `pause` seconds apart, and read until the connection is closed.

        With `end` our half of it is closed first.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(60):
                writing = asyncio.ensure_future(_write(writer, chunks, pause, end))
                answer = await _read(reader)
                writing.cancel()
        finally:
            writer.close()
        return Answer(answer)

    async def hang_up(self, *chunks: bytes) -> None:
        """Write the chunks and close."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.writelines(chunks)
        await writer.drain()
        writer.transport.abort()


async def _write(
    writer: asyncio.StreamWriter, chunks: tuple[bytes, ...], pause: float, end: bool
) -> None:
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)
        if end:
            writer.write_eof()
    except ConnectionError:
        pass  # answered and closed before we had sent everything


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    try:
        while chunk := await reader.read(65536):
            answer += chunk
    except ConnectionError:
        pass
    return bytes(answer)


@asynccontextmanager
async def listening(
    app: FastAPI, settings: Settings, budget: Budget | None = None
) -> AsyncIterator[Listening]:
    """`app` on a free port of loopback, its lifespan included."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1_000)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    edge = Edge(budget or Budget())
    config = server_config(app, settings, edge)
    server = AnsweringServer(config)
    async with app.router.lifespan_context(app):
        serving = asyncio.create_task(server.serve([listener]))
        await server.answering.wait()
        yield Listening(listener.getsockname()[1], edge)
        server.should_exit = True
        await serving
