"""Forms, read without trusting them."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.console.answers import Refused

MAX_BYTES = 16 * 1024
MAX_FIELDS = 20
MAX_SECONDS = 5.0

_KIND = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields, the last of each name. Raises `Refused` (400, 408, 413 or 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        raise Refused(415, "That is not a form", "Nothing was done.")
    try:
        async with asyncio.timeout(MAX_SECONDS):
            body = await _bounded(request)
    except (TimeoutError, ClientDisconnect):
        raise Refused(408, "The form did not arrive in time", "Nothing was done.") from None
    return _fields(body)


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Refused(413, "The form is too long", "Nothing was done.")
    return bytes(body)


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MAX_FIELDS, keep_blank_values=True))
    except ValueError:
        raise Refused(400, "The form cannot be read", "Nothing was done.") from None
