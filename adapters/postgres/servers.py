"""Opens a session: of several servers on the one that may be written to, found anew each time."""

from typing import Any

import asyncpg

from adapters.postgres.address import parse_address

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

    def __init__(self, url: str, schema: str | None = None) -> None:
        """`schema` is `DATABASE_SCHEMA`; without it, the address may name one.

        Raises `AddressRefused`. Connects to nothing.
        """
        self.address = parse_address(url)
        self.schema = schema or self.address.schema
        """Where our tables are. None: where the role's `search_path` says."""
        # No host at all: one place, which the driver chooses as libpq does.
        self._places: list[tuple[str | None, int | None]] = [*self.address.hosts] or [(None, None)]

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - as asyncpg's
        """`asyncpg.connect` within `timeout` seconds. Raises what `NO_SESSION` lists."""
        options = self._options(options)
        share = timeout / len(self._places)
        if self.address.connect_timeout is not None:
            share = min(share, self.address.connect_timeout)
        *others, last = self._places
        for place in others:
            host, port = place
            try:
                return await asyncpg.connect(host=host, port=port, timeout=share, **options)
            except NO_SESSION:
                # At once: a caller with less time may be gone before the next one answers.
                self._try_last(place)
        host, port = last
        return await asyncpg.connect(host=host, port=port, timeout=share, **options)

    def _try_last(self, failed: tuple[str | None, int | None]) -> None:
        self._places.sort(key=lambda place: place == failed)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """The address's own settings win over ours: `application_name` is one of both."""
        address = self.address
        session = address.target_session_attrs
        if session is None and len(address.hosts) > 1:
            session = "read-write"
        return {
            **given,
            **address.driver,
            "user": address.user,
            "password": address.password,
            "database": address.database,
            "ssl": address.tls.ssl,
            "direct_tls": address.tls.direct,
            "target_session_attrs": session,
            "server_settings": {**given.get("server_settings", {}), **address.server_settings},
            "statement_cache_size": given.get("statement_cache_size", 100)
            if address.keeps_statements
            else 0,
        }
