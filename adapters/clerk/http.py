"""One bounded GET, and the headers we read of its answer."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# Compressed answers could not be bounded: a few kilobytes can become gigabytes within one read.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "clerk-user-sync"}

_SECONDS = re.compile(r"[0-9]{1,9}")


class UnusableAnswer(Exception):
    """Too large, or compressed although we asked for it plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `seconds` is how long it took, from the first byte sent to the last read."""

    status: int
    headers: httpx.Headers
    body: bytes
    seconds: float

    @property
    def date(self) -> datetime | None:
        """The server's clock when it answered, in whole seconds."""
        return _http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait as the server asks, or None when it does not or makes no sense."""
        value = self.headers.get("retry-after", "")
        if _SECONDS.fullmatch(value):
            return float(value)
        until = _http_date(value)
        if until is None:
            return None
        return max(0.0, (until - (self.date or datetime.now(UTC))).total_seconds())


async def bounded_get(
    client: httpx.AsyncClient,
    url: str,
    *,
    params: Mapping[str, str | int] | None = None,
    seconds: float,
    max_bytes: int,
) -> Answer:
    """GET within `seconds` in all and `max_bytes`, following no redirect.

    Raises `TimeoutError`, `httpx.HTTPError` or `UnusableAnswer`.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    # httpx's own timeouts start anew with every byte that arrives: only this one ends a slow drip.
    async with (
        asyncio.timeout(seconds),
        client.stream(
            "GET", url, params=params, headers=_HEADERS, follow_redirects=False
        ) as response,
    ):
        body = await _body(response, max_bytes)
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
