"""Answers that a connection gives by itself, before a request reaches the application."""

from collections.abc import Iterable
from http import HTTPStatus

import httptools

from service.edge.canonical_log import NOSNIFF
from service.errors import Rejected, problem

BAD_REQUEST = (400, "bad_request")
NO_TUNNEL = (405, "method_not_allowed")
HEAD_TOO_LONG = (431, "head_too_long")
INTERNAL_ERROR = (500, "internal_error")
OVERLOADED = (503, "overloaded")
"""Each is a status and a code."""


def as_sent(refusal: tuple[int, str], default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole answer, with a problem document. The connection is closed after it."""
    status, code = refusal
    retry = {"Retry-After": "1"} if status == 503 else {}
    response = problem(status, code, {**retry, "Connection": "close"})
    headers = [*default_headers, *response.raw_headers, NOSNIFF]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return start + lines + b"\r\n" + bytes(response.body)


def refusal_of(error: httptools.HttpParserError) -> tuple[int, str]:
    """The refusal that a callback of the parser raised; otherwise the request is not HTTP."""
    cause = error.__context__
    return (cause.status, cause.code) if isinstance(cause, Rejected) else BAD_REQUEST
