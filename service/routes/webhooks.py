"""The webhook route: verify, translate, sync, commit, answer. No 2xx before the commit."""

import asyncio
import re
from collections.abc import Mapping
from typing import assert_never

from fastapi import APIRouter, Request, Response
from starlette.types import Receive

from domain.errors import InvalidSignature, StorageUnavailable, Unavailable, Unstorable
from domain.journal import QUARANTINED
from domain.sync_user import (
    SVIX_ID,
    SVIX_SIGNATURE,
    SVIX_TIMESTAMP,
    FollowedDelivery,
    IgnoredDelivery,
    UnreadableDelivery,
    VerifiedDelivery,
)
from service.body import whole_body
from service.errors import INTERNAL_ERROR, Rejected, documented
from service.log import note
from service.routes.plain import PlainRoute
from service.services import Services, services_of

PATH = "/webhooks/clerk"

NOT_JSON = (415, "body_not_json")
LENGTH_INVALID = (400, "body_length_invalid")
TOO_LARGE = (413, "body_too_large")
TOO_SLOW = (408, "body_too_slow")
REFUSALS = (LENGTH_INVALID, TOO_SLOW, TOO_LARGE, NOT_JSON)
"""The statuses and codes that `json_bytes` raises."""

_JSON = b"application/json"
_IDENTITY = b"identity"
_LENGTH = re.compile(rb"[0-9]{1,19}")

MAX_BYTES = 1024 * 1024
"""Svix's limit on a payload."""

MAX_SECONDS = 10.0
"""Less than the 15 s after which Svix gives up on an answer."""

router = APIRouter(tags=["webhooks"], route_class=PlainRoute)

_PATTERNS = {
    "svix-id": f"^{SVIX_ID}$",
    "svix-timestamp": f"^{SVIX_TIMESTAMP}$",
    "svix-signature": f"^{SVIX_SIGNATURE}$",
}
_DELIVERY = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "schema": {"type": "string", "pattern": pattern},
        }
        for name, pattern in _PATTERNS.items()
    ],
    "requestBody": {
        "description": "One of Clerk's events, signed by Svix: the signature covers the raw bytes.",
        "required": True,
        "content": {"application/json": {"schema": {}}},
    },
}
"""For OpenAPI only: the endpoint reads raw headers and body, and verifies before it parses."""


@router.post(
    PATH,
    status_code=204,
    response_class=Response,
    responses={
        202: {"description": "Quarantined: it cannot be read or stored", "content": {}},
        204: {"description": "Applied, or nothing to apply"},
        **documented(InvalidSignature, *REFUSALS, StorageUnavailable),
    },
    openapi_extra=_DELIVERY,
    summary="Receive one of Clerk's webhooks",
)
@router.post(f"{PATH}/", status_code=204, include_in_schema=False)
async def receive(request: Request) -> Response:
    """204 if it is applied or there is nothing to apply, 202 if it is quarantined."""
    services = services_of(request.app)
    try:
        body = await json_bytes(request)
        delivery = services.clerk.webhooks.verify(request.scope["headers"], body)
        outcome = await _apply(services, delivery, body)
    except (InvalidSignature, Rejected, Unavailable) as error:
        services.metrics.refusal(error.code)
        raise
    except Exception:
        services.metrics.refusal(INTERNAL_ERROR[1])  # also where the requests are a host's
        raise
    note(request.scope, svix_id=delivery.svix_id, user_id=delivery.clerk_id, outcome=outcome)
    return Response(status_code=202 if outcome == QUARANTINED else 204)


async def _apply(services: Services, delivery: VerifiedDelivery, body: bytes) -> str:
    match delivery:
        case FollowedDelivery():
            return await _sync(services, delivery, body)
        case UnreadableDelivery():
            return await _quarantine(services, delivery)
        case IgnoredDelivery():
            kind, reason = delivery.event_type, delivery.reason
            services.metrics.delivery(kind, reason, is_journaled=False)
            return delivery.reason
        case _:
            assert_never(delivery)


async def _sync(services: Services, delivery: FollowedDelivery, body: bytes) -> str:
    try:
        result = await services.store.users.sync(delivery.command)
    except Unstorable as error:
        return await _quarantine(services, delivery.unstorable(body, error))
    services.metrics.delivery(delivery.event_type, result.outcome)
    services.metrics.lag(delivery.record.occurred_at)
    if result.conflicting:
        services.metrics.conflict()
    return result.outcome.value


async def _quarantine(services: Services, delivery: UnreadableDelivery) -> str:
    services.clerk.instance.require_no_contradiction()
    await services.store.journal.quarantine(delivery)
    services.metrics.delivery(delivery.event_type, QUARANTINED)
    return QUARANTINED


async def json_bytes(request: Request, max_seconds: float = MAX_SECONDS) -> bytes:
    """The raw body of a JSON request. Raises `Rejected` (400, 408, 413 or 415)."""
    headers = dict(request.scope["headers"])
    _check_kind(headers)
    _check_length(headers)
    whole = whole_body(request.scope)
    if whole is not None:
        _check_size(len(whole))  # a chunked body declares no size
        return whole
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
    """Refuse a body that is declared too long, without reading it."""
    declared = unverified_headers.get(b"content-length", b"0")
    if _LENGTH.fullmatch(declared) is None:
        raise Rejected(*LENGTH_INVALID)
    _check_size(int(declared))


async def _bounded(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Rejected(*TOO_SLOW)
        body += message.get("body", b"")
        _check_size(len(body))
        more = message.get("more_body", False)
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Rejected(*TOO_LARGE)
