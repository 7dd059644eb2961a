"""Sessions over real TLS: a server's end of it stands before the tests' own Postgres."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from adapters.postgres.servers import Servers
from domain.errors import StorageUnavailable
from tests.adapters.postgres.certificates import Certificates, certificates_in

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL manual, "Message Formats", SSLRequest."""


class TlsServer:
    """Speaks TLS with clients and hands what they say to Postgres. `plain` counts the others."""

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
    """The server, and `store_url` as it is behind it, by the name in its certificate."""
    server = TlsServer(store_url, context)
    listener = await asyncio.start_server(
        server.serve, "localhost", 0, ssl=context if direct else None
    )
    port = listener.sockets[0].getsockname()[1]
    parts = urlsplit(store_url)
    credentials = parts.netloc.rpartition("@")[0]
    yield server, parts._replace(netloc=f"{credentials}@localhost:{port}").geturl()
    listener.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.set_alpn_protocols(["postgresql"])
    return context


def query(text: str, certificates: Certificates) -> str:
    return text.format(root=certificates.root, other=certificates.other_root)


@pytest.mark.parametrize(
    "options",
    [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=no-verify",
        "sslmode=verify-ca&sslrootcert={root}",
        "sslmode=verify-full&sslrootcert={root}",
        "sslmode=require&channel_binding=require&sslrootcert={root}",
    ],
)
async def test_a_session_is_encrypted_and_the_server_proven(
    options: str, store_url: str, context: ssl.SSLContext, certificates: Certificates
) -> None:
    async with served(store_url, context) as (server, url):
        connection = await Servers(f"{url}?{query(options, certificates)}").connect(timeout=10)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
    assert (server.encrypted, server.plain) == (1, 0)


NOT_TRUSTED = "its certificate is not trusted: see sslmode and sslrootcert"


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ("sslmode=require&sslrootcert={other}", "localhost"),
        ("sslmode=verify-ca&sslrootcert={other}", "localhost"),
        ("sslmode=verify-full&sslrootcert={other}", "localhost"),
        ("sslmode=verify-full&sslrootcert={root}", "127.0.0.1"),
        ("sslmode=verify-full&sslrootcert=system", "localhost"),
        ("sslmode=require&channel_binding=require", "localhost"),
        ("sslmode=require&channel_binding=require&sslrootcert={root}", "127.0.0.1"),
    ],
)
async def test_a_server_that_is_not_proven_is_not_spoken_to(
    options: str, host: str, store_url: str, context: ssl.SSLContext, certificates: Certificates
) -> None:
    async with served(store_url, context) as (server, url):
        there = f"{url.replace('@localhost:', f'@{host}:')}?{query(options, certificates)}"
        database = Database(there)
        await database.open()
        with pytest.raises(StorageUnavailable, match=NOT_TRUSTED):
            await database.run(lambda connection: connection.fetchval("select 1"))
        await database.close()
        with pytest.raises(StorageUnavailable, match=NOT_TRUSTED):
            await migrate(there)
    assert (server.encrypted, server.plain) == (0, 0)


@pytest.mark.parametrize("options", ["sslmode=require", "sslmode=no-verify"])
async def test_a_server_without_tls_is_not_spoken_to_where_tls_is_demanded(
    options: str, store_url: str
) -> None:
    async with served(store_url, None) as (server, url):
        with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
            await Servers(f"{url}?{options}").connect(timeout=10)
        await (await Servers(f"{url}?sslmode=prefer").connect(timeout=10)).close()
    assert server.plain == 1


async def test_tls_begins_at_once_with_direct_negotiation(
    store_url: str, context: ssl.SSLContext, certificates: Certificates, tmp_path: Path
) -> None:
    options = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={certificates.root}"
    async with served(store_url, context, direct=True) as (server, url):
        await (await Servers(f"{url}?{options}").connect(timeout=10)).close()
    assert server.encrypted == 1
