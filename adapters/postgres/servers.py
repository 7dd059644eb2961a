"""Opening a session: of several servers on the one that may be written to, found anew each time."""

from typing import Any
from urllib.parse import SplitResult, urlsplit

import asyncpg

_WRITABLE = "target_session_attrs=read-write"

NO_SESSION = (
    OSError,
    OverflowError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What the driver raises when it cannot open one: refused, timed out, misnamed, read-only."""


class Servers:
    """The servers that one address names, comma-separated as in libpq ("Connection URIs").

    Of several, only one that may be written to will do, unless `target_session_attrs` says
    otherwise. They are tried in turn, what failed before last, and each has its share of the
    time: a machine that is gone does not even refuse.
    """

    def __init__(self, dsn: str) -> None:
        self._dsns = _one_for_each_host(dsn)

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - as asyncpg's
        """`asyncpg.connect` within `timeout` seconds. Raises what `NO_SESSION` lists."""
        *others, last = self._dsns
        share = timeout / len(self._dsns)
        for dsn in others:
            try:
                return await asyncpg.connect(dsn, timeout=share, **options)
            except NO_SESSION:
                # At once, for a caller with less patience may be gone before the next one answers.
                self._try_last(dsn)
        return await asyncpg.connect(last, timeout=share, **options)

    def _try_last(self, failed: str) -> None:
        self._dsns.sort(key=lambda dsn: dsn == failed)


def _one_for_each_host(dsn: str) -> list[str]:
    parts = urlsplit(dsn)
    credentials, at, hosts = parts.netloc.rpartition("@")
    addresses = [parts._replace(netloc=f"{credentials}{at}{host}") for host in hosts.split(",")]
    return [dsn] if len(addresses) == 1 else [_writable(address) for address in addresses]


def _writable(address: SplitResult) -> str:
    if "target_session_attrs=" in address.query:
        return address.geturl()
    return address._replace(query="&".join(filter(None, [address.query, _WRITABLE]))).geturl()
