"""A TCP proxy that imitates network failures."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards TCP connections to the server at `url`.

    It forwards pieces of at most `piece` bytes, each after `delay` seconds.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._port = 0
        self.delay = 0.0
        self.piece = _CHUNK
        self._answered = 0

    @property
    def url(self) -> str:
        """The server's URL with the address of the proxy."""
        credentials = self._server.netloc.rpartition("@")[0]
        return self._server._replace(netloc=f"{credentials}@127.0.0.1:{self._port}").geturl()

    def stall(self) -> None:
        """Forward nothing from now on, and keep the connections open."""
        self._passing.clear()

    def heal(self) -> None:
        """Forward again, beginning with what was held back."""
        self.delay = 0.0
        self.piece = _CHUNK
        self._passing.set()

    def reset(self) -> None:
        """Reset every open connection. New ones are accepted."""
        for writer in self._writers:
            peer = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def reset_mid_answer(self) -> None:
        """Reset every connection after the first byte of the server's next answer."""
        self.piece, answered = 1, self._answered
        while self._answered == answered:
            await asyncio.sleep(0)
        self.reset()
        self.piece = _CHUNK

    async def listen(self) -> asyncio.Server:
        """Listen on a free port."""
        listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._port = listener.sockets[0].getsockname()[1]
        return listener

    async def _connect(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        from_server, to_server = await asyncio.open_connection(
            self._server.hostname, self._server.port
        )
        both = {to_client, to_server}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass_on(from_client, to_server),
                self._pass_on(from_server, to_client, self._count),
            )
        finally:
            self._writers -= both

    def _count(self) -> None:
        self._answered += 1

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passed: Callable[[], None] = lambda: None,
    ) -> None:
        """Forward until one side closes, then close the other."""
        try:
            while piece := await reader.read(self.piece):
                await asyncio.sleep(self.delay)
                await self._passing.wait()
                writer.write(piece)
                await writer.drain()
                passed()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server at `url`, during the block."""
    proxy = Proxy(url)
    listener = await proxy.listen()
    try:
        yield proxy
    finally:
        listener.close()
        proxy.heal()
        proxy.reset()
        await asyncio.sleep(0)
