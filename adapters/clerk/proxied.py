"""Connections to Clerk by a proxy, each in a pool of its own.

httpcore's pool never gets back the place of a connection that fails, or is cancelled, during the
handshakes behind a proxy. Shared by all requests, it would be full after some of them. So a
connection's pool is closed when it fails, and used again when it is idle.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import httpx
from socksio import SOCKSError


class ProxiedTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests by `proxy`, at most `most` of them at a time.

    `verify` has the authorities of Clerk, and of a proxy whose address is `https://`.
    """

    def __init__(self, verify: ssl.SSLContext, proxy: str, most: int) -> None:
        self._verify = verify
        self._proxy = proxy
        self._places = asyncio.Semaphore(most)
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, whose body is still to be read."""
        await self._places.acquire()
        connection = self._idle.pop() if self._idle else _Connection(self._verify, self._proxy)
        try:
            answer = await connection.send(request)
        except BaseException:
            self._places.release()
            await connection.close()
            raise
        body = _Body(answer, partial(self._give_back, connection))
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=body, request=request
        )

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    def _give_back(self, connection: "_Connection") -> None:
        self._idle.append(connection)
        self._places.release()


class _Connection:
    """One connection, opened by the first request, and again after it was closed at the far end."""

    def __init__(self, verify: ssl.SSLContext, proxy: str) -> None:
        is_tls = httpx.URL(proxy).scheme == "https"
        self._pool = httpx.AsyncHTTPTransport(
            verify=verify,
            proxy=httpx.Proxy(proxy, ssl_context=verify if is_tls else None),
            limits=httpx.Limits(max_connections=1),
            trust_env=False,
        )
        self._hang_up: Callable[[], Awaitable[None]] | None = None

    async def send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._note}
        try:
            return await self._pool.handle_async_request(request)
        except SOCKSError as error:
            raise httpx.ProxyError(type(error).__name__) from error

    async def close(self) -> None:
        await self._pool.aclose()
        if self._hang_up is not None:  # httpcore forgets the socket of a SOCKS proxy that fails
            await self._hang_up()

    async def _note(self, event: str, details: Mapping[str, Any]) -> None:
        if event.endswith(".connect_tcp.complete"):
            self._hang_up = details["return_value"].aclose


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpx.Response, ended: Callable[[], None]) -> None:
        self._answer = answer
        self._ended = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.aiter_raw():
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._answer.aclose()
        finally:
            self._ended()
