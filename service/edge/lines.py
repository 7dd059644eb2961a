"""The lines of which the head of a message consists (RFC 9112)."""

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@cache
def status_line(status: int) -> bytes:
    """The first line of an answer. A status without a phrase has an empty one."""
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode()


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A line for each header, as it is."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
