"""A TLS server in front of the tests' Postgres, which has no TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.adapters.postgres.certificates import Certificates

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL manual, "Message Formats", SSLRequest."""


class TlsServer:
    """Accepts TLS connections and forwards them to Postgres. `plain` counts those without TLS."""

    def __init__(self, store_url: str, context: ssl.SSLContext | None) -> None:
        self._store = urlsplit(store_url)
        self._context = context
        self.encrypted = self.plain = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(8)
            if first == SSL_REQUEST:
                writer.write(b"N" if self._context is None else b"S")
                if self._context:
                    await writer.start_tls(self._context)
                first = await reader.readexactly(8)
            if writer.get_extra_info("ssl_object"):
                self.encrypted += 1
            else:
                self.plain += 1
            await self._hand_on(first, reader, writer)
        writer.close()

    async def _hand_on(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answers, questions = await asyncio.open_connection(self._store.hostname, self._store.port)
        questions.write(first)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, questions))
                both.create_task(pump(answers, writer))
        finally:
            questions.close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
        sink.close()


@asynccontextmanager
async def served(
    store_url: str, context: ssl.SSLContext | None, *, direct: bool = False
) -> AsyncIterator[tuple[TlsServer, str]]:
    """The server, and the store's URL through it, with the name in its certificate."""
    server = TlsServer(store_url, context)
    listener = await asyncio.start_server(
        server.serve, "localhost", 0, ssl=context if direct else None
    )
    port = listener.sockets[0].getsockname()[1]
    parts = urlsplit(store_url)
    credentials = parts.netloc.rpartition("@")[0]
    yield server, parts._replace(netloc=f"{credentials}@localhost:{port}").geturl()
    listener.close()


def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.set_alpn_protocols(["postgresql"])
    return context
