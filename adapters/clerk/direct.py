"""Connections to Clerk without a proxy, by aiohttp, whose parser is compiled.

After a rest, a call by httpx's own transport takes 0.4 ms more, most of it in a parser that is
written in Python. Its other tasks are left to it: proxies, and installations without aiohttp.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx
from yarl import URL


class DirectTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests. No cookies are kept, and no answer is unpacked."""

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._verify = verify
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, whose body is still to be read. Raises `TimeoutError` too."""
        times = request.extensions["timeout"]
        session = self._session = self._session or self._opened()
        with _as_httpx_says():
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=times["pool"], sock_connect=times["connect"], sock_read=times["read"]
                ),
            )
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Only now, for it belongs to the running event loop."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._verify,
                limit=self._limits.max_connections or 0,
                keepalive_timeout=self._limits.keepalive_expiry or 0.0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_says():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back if the whole body was read, else close it."""
        self._answer.release()


@contextmanager
def _as_httpx_says() -> Iterator[None]:
    """Aiohttp's errors as httpx's. A timeout is a `TimeoutError` already."""
    try:
        yield
    except TimeoutError:
        raise
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(type(error).__name__) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
