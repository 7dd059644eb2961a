"""A request's head, its request line and headers: checks that the parser does not make, and the
head as ASGI has it.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httptools

from service.edge.budget import Budget
from service.edge.lines import header_lines
from service.edge.refusals import BAD_REQUEST, HEAD_TOO_LONG
from service.errors import Rejected

Headers = Sequence[tuple[bytes, bytes]]
"""Pairs of a name in lower case and a value."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""RFC 9110 §7.2, RFC 3986 §3.2.2."""


def check_head(url: bytes, version: str, headers: Headers, came: int, budget: Budget) -> None:
    """Raises `Rejected` if the head is too long, or does not name exactly one host.

    `came` counts the bytes of the head, except those that arrived together with the end of the
    previous request. The exact length is computed only if `came` exceeds the budget, so a head that
    is longer by less than a piece may pass.
    """
    if came > budget.head_bytes and _length(url, headers) > budget.head_bytes:
        raise Rejected(*HEAD_TOO_LONG)
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):  # RFC 9112 §3.2
        raise Rejected(*BAD_REQUEST)
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise Rejected(*BAD_REQUEST)


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The same head without its `Upgrade`, which a server may ignore (RFC 9110 §7.8)."""
    lines = header_lines(header for header in headers if header[0] != b"upgrade")
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The two ends of a connection, as hosts and ports, and the path above our routes."""

    server: tuple[str, int] | None
    client: tuple[str, int] | None
    scheme: str
    root_path: str

    def scope(self, method: bytes, url: bytes, version: str, headers: Headers) -> dict[str, Any]:
        """The scope of ASGI. Raises httptools' error for a target that is not a URL."""
        target = httptools.parse_url(url)
        path = target.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": headers,
            "method": method.decode("ascii"),
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode() + target.path,
            "query_string": target.query or b"",
        }


def place_of(transport: asyncio.Transport, root_path: str) -> Place:
    """Where the requests of a connection arrive."""
    return Place(
        server=_address(transport.get_extra_info("sockname")),
        client=_address(transport.get_extra_info("peername")),
        scheme="https" if transport.get_extra_info("sslcontext") else "http",
        root_path=root_path,
    )


def _address(name: Any) -> tuple[str, int] | None:
    """The host and the port in a socket's name; None for a socket that has none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _length(url: bytes, headers: Headers) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)
