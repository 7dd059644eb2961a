"""One request, limited in time and size, and the response headers that are used."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

import httpx

# A compressed response cannot be limited: one read of a few kilobytes can become gigabytes.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "clerk-user-sync"}

_TIMEOUTS = httpx.Timeout(30.0, connect=5.0).as_dict()

_SECONDS = re.compile(r"[0-9]{1,9}")


class UnusableAnswer(Exception):
    """The response is too large, or compressed although an uncompressed one was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response. `seconds` is the time of the whole request, with its connection."""

    status: int
    headers: httpx.Headers
    body: bytes
    seconds: float

    @property
    def date(self) -> datetime | None:
        """The server's clock when it responded, in whole seconds."""
        return _http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> float | None:
        """The server's `Retry-After` in seconds; None when it is missing or not valid."""
        value = self.headers.get("retry-after", "")
        if _SECONDS.fullmatch(value):
            return float(value)
        until = _http_date(value)
        if until is None:
            return None
        return max(0.0, (until - (self.date or datetime.now(UTC))).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClient:
    """Sends requests by a transport of httpx, below `base_url` and with `headers`.

    httpx's own client would look for cookies, credentials and redirects at each request.
    Leaving it closes the transport.
    """

    transport: httpx.AsyncBaseTransport
    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.aclose()


async def bounded_request(
    client: HttpClient,
    url: str,
    *,
    method: str = "GET",
    params: Mapping[str, str | int] | None = None,
    json: Mapping[str, object] | None = None,
    seconds: float,
    max_bytes: int,
) -> Answer:
    """One request within `seconds` in all and `max_bytes` of answer, following no redirect.

    Raises `TimeoutError`, `httpx.HTTPError` or `UnusableAnswer`.
    """
    clock = asyncio.get_running_loop().time
    request = httpx.Request(
        method,
        client.base_url + url,
        params=params or None,
        json=json,
        headers={**client.headers, **_HEADERS},
        extensions={"timeout": _TIMEOUTS},
    )
    started = clock()
    # A transport's timeouts restart with every byte, so they do not end a slow response.
    async with asyncio.timeout(seconds):
        response = await client.transport.handle_async_request(request)
        try:
            body = await _body(response, max_bytes)
        finally:
            await response.aclose()
    return Answer(
        status=response.status_code,
        headers=response.headers,
        body=body,
        seconds=clock() - started,
    )


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UnusableAnswer("compressed")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise UnusableAnswer("too large")
    return bytes(body)


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
