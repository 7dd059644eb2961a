"""Proxies on this machine, good and bad."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from adapters.clerk.http import HttpClient
from adapters.clerk.network import read_authorities, transport_to

Says = Callable[[bytes], bytes | None]
"""The reply of a proxy to what it hears: b"" is to hang up, and None is silence."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def is_well(_: bytes) -> bytes:
    return OK


def is_silent(_: bytes) -> None:
    return None


def hangs_up(_: bytes) -> bytes:
    return b""


def speaks_http(_: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def consents_and_is_silent(heard: bytes) -> bytes | None:
    return b"HTTP/1.1 200 OK\r\n\r\n" if heard.startswith(b"CONNECT") else None


def consents_and_hangs_up(heard: bytes) -> bytes:
    return consents_and_is_silent(heard) or b""


@dataclass
class Proxy:
    """`met` counts its connections, and `kept` those that are open. `silences` has an entry for
    each time that it said nothing.
    """

    says: Says
    at: str = ""
    met: int = 0
    kept: int = 0
    silences: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        self.kept += 1
        with suppress(ConnectionError):
            while heard := await reader.read(65536):
                said = self.says(heard)
                if said == b"":
                    break
                if said is None:
                    self.silences.put_nowait(None)
                else:
                    writer.write(said)
        self.kept -= 1
        writer.close()


@asynccontextmanager
async def running_proxy(says: Says, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(says)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()


def client_by(proxy: str, verify: ssl.SSLContext | None = None) -> HttpClient:
    return HttpClient(transport=transport_to(verify or read_authorities(None, None), proxy))
