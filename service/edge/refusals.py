"""Answers that a connection gives by itself, before a request reaches the application."""

import httptools

from service.edge.canonical_log import NOSNIFF
from service.edge.lines import header_lines, status_line
from service.errors import Rejected, problem

BAD_REQUEST = (400, "bad_request")
NO_TUNNEL = (405, "method_not_allowed")
HEAD_TOO_LONG = (431, "head_too_long")
OVERLOADED = (503, "overloaded")
"""Each is a status and a code."""


def as_sent(refusal: tuple[int, str], default_lines: bytes) -> bytes:
    """The whole answer, with a problem document. The connection is closed after it.

    `default_lines` are those of the headers that every answer has.
    """
    status, code = refusal
    retry = {"Retry-After": "1"} if status == 503 else {}
    response = problem(status, code, {**retry, "Connection": "close"})
    lines = default_lines + header_lines([*response.raw_headers, NOSNIFF])
    return status_line(status) + lines + b"\r\n" + bytes(response.body)


def refusal_of(error: httptools.HttpParserError) -> tuple[int, str]:
    """The refusal that a callback of the parser raised; otherwise the request is not HTTP."""
    cause = error.__context__
    return (cause.status, cause.code) if isinstance(cause, Rejected) else BAD_REQUEST
