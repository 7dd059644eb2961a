"""Connect to the servers of an address; if there are several, to the one that accepts writes."""

from typing import Any

import asyncpg

from adapters.postgres.address import parse_address

DRIVER_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What the driver raises on an open connection."""

CONNECT_ERRORS = (*DRIVER_ERRORS, OverflowError)
"""The driver's errors for a connection that fails: refused, timed out, unknown name, read-only."""

NAME = {"application_name": "clerk-user-sync"}
"""The setting of a session that shows a database administrator whose it is."""


class Servers:
    """The servers that one address names, comma-separated as in libpq ("Connection URIs").

    If there are several, one that accepts writes is required, unless `target_session_attrs` says
    otherwise. They are tried in turn, the last to fail at the end. Each gets a share of the time,
    because a machine that is down does not answer at all.
    """

    def __init__(self, url: str, schema: str | None = None) -> None:
        """`schema` is `DATABASE_SCHEMA`; without it, the address may name one.

        Raises `AddressRefused`. Connects to nothing.
        """
        self.address = parse_address(url)
        self.schema = schema or self.address.schema
        """The schema of our tables. None means the first of the role's `search_path`."""
        # Without a host, the driver chooses the default, as libpq does.
        self._places: list[tuple[str | None, int | None]] = [*self.address.hosts] or [(None, None)]

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - as asyncpg's
        """`asyncpg.connect` within `timeout` seconds. Raises one of `CONNECT_ERRORS`."""
        options = self._options(options)
        share = timeout / len(self._places)
        if self.address.connect_timeout is not None:
            share = min(share, self.address.connect_timeout)
        *others, last = self._places
        for place in others:
            host, port = place
            try:
                return await asyncpg.connect(host=host, port=port, timeout=share, **options)
            except CONNECT_ERRORS:
                # Reordered now: the caller may be cancelled before the next server answers.
                self._places = [*(other for other in self._places if other != place), place]
        host, port = last
        return await asyncpg.connect(host=host, port=port, timeout=share, **options)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of the address take precedence over ours, such as `application_name`."""
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
