"""Checks of a request's head, its request line and headers, that the parser does not make."""

import re
from collections.abc import Callable, Sequence

from service.edge.budget import Budget
from service.edge.refusals import BAD_REQUEST, HEAD_TOO_LONG
from service.errors import Rejected

Headers = Sequence[tuple[bytes, bytes]]
"""Pairs of a name in lower case and a value."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""RFC 9110 §7.2, RFC 3986 §3.2.2."""


def check_head(
    url: bytes, version: Callable[[], str], headers: Headers, came: int, budget: Budget
) -> None:
    """Raises `Rejected` if the head is too long, or does not name exactly one host.

    `came` is at least the length of the head. The exact length is computed only if `came` exceeds
    the budget.
    """
    if len(headers) > budget.headers:
        raise Rejected(*HEAD_TOO_LONG)
    if came > budget.head_bytes and _length(url, headers) > budget.head_bytes:
        raise Rejected(*HEAD_TOO_LONG)
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version() != "1.0"):  # RFC 9112 §3.2
        raise Rejected(*BAD_REQUEST)
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise Rejected(*BAD_REQUEST)


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The same head without its `Upgrade`, which a server may ignore (RFC 9110 §7.8)."""
    lines = [b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(lines))


def _length(url: bytes, headers: Headers) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)
