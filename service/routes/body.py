"""Reading a request's body without trusting it: bounded in size, in time and in kind."""

import asyncio
import re
from collections.abc import Mapping

from fastapi import Request
from starlette.types import Receive

from service.errors import Rejected

NOT_JSON = (415, "body_not_json")
LENGTH_INVALID = (400, "body_length_invalid")
TOO_LARGE = (413, "body_too_large")
TOO_SLOW = (408, "body_too_slow")
REFUSALS = (LENGTH_INVALID, TOO_SLOW, TOO_LARGE, NOT_JSON)
"""The statuses and codes that `json_bytes` refuses with."""

_JSON = b"application/json"
_IDENTITY = b"identity"
_LENGTH = re.compile(rb"[0-9]{1,19}")

MAX_BYTES = 1024 * 1024
"""Svix's own limit on a payload."""

MAX_SECONDS = 10.0
"""Within Svix's 15 s, after which nobody waits for the answer."""


async def json_bytes(request: Request, max_seconds: float = MAX_SECONDS) -> bytes:
    """The raw body of a JSON request. Raises `Rejected` (400, 408, 413 or 415)."""
    headers = dict(request.scope["headers"])
    _check_kind(headers)
    _check_length(headers)
    try:
        async with asyncio.timeout(max_seconds):
            return await _bounded(request.receive)
    except TimeoutError as error:
        raise Rejected(*TOO_SLOW) from error


def _check_kind(unverified_headers: Mapping[bytes, bytes]) -> None:
    kind = unverified_headers.get(b"content-type", _JSON).partition(b";")[0]
    encoding = unverified_headers.get(b"content-encoding", _IDENTITY)
    if kind.strip().lower() != _JSON or encoding.lower() != _IDENTITY:
        raise Rejected(*NOT_JSON)


def _check_length(unverified_headers: Mapping[bytes, bytes]) -> None:
    """What is declared too long is not read at all."""
    declared = unverified_headers.get(b"content-length", b"0")
    if _LENGTH.fullmatch(declared) is None:
        raise Rejected(*LENGTH_INVALID)
    if int(declared) > MAX_BYTES:
        raise Rejected(*TOO_LARGE)


async def _bounded(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Rejected(*TOO_SLOW)
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise Rejected(*TOO_LARGE)
        more = message.get("more_body", False)
    return bytes(body)
