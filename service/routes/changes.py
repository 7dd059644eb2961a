"""The changes of all users, for other services: a page as JSON, or server-sent events."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from domain.change_feed import ChangeFeed, ChangeWithUser
from domain.errors import FellBehind, StorageUnavailable
from service.change_message import change_document
from service.changes_token import ChangesReader
from service.errors import Rejected, documented
from service.json import plain_values
from service.readiness import Readiness
from service.routes.me import NO_STORE, Me
from service.routes.plain import ChangesRoute
from service.services import services_of

router = APIRouter(prefix="/v1", tags=["changes"], route_class=ChangesRoute)

EVENTS = "text/event-stream"
USUAL, MOST = 100, 1000
HEARTBEAT = 15.0
"""Seconds between two signs of life on a stream, so that proxies keep it open."""

LOOK = 1.0
"""Seconds between two looks at whether this process is stopping."""

AGAIN = 1000
"""Milliseconds after which a client connects again, when a stream has ended."""

_ME = tuple(Me.model_fields)


class ToldChange(BaseModel):
    """A change, and the user's record as it is now: null if deleted since."""

    clerk_id: str
    user_id: str
    kind: str
    changed: list[str]
    source: str
    occurred_at: datetime
    recorded_at: datetime
    position: int
    user: Me | None


class ChangesPage(BaseModel):
    """Some changes in order. `next` is the `after` of the following page."""

    changes: list[ToldChange]
    next: int


_PARAMETERS = [
    {
        "name": "after",
        "in": "query",
        "description": "The position to go on from. Without it, the oldest change comes first.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    },
    {
        "name": "limit",
        "in": "query",
        "description": "Changes in one page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "For server-sent events, instead of `after`.",
        "schema": {"type": "string"},
    },
]


@router.get(
    "/changes",
    responses={
        200: {"model": ChangesPage, "content": {EVENTS: {"schema": {"type": "string"}}}},
        **documented((422, "request_invalid")),
    },
    openapi_extra={"parameters": _PARAMETERS},
    summary="The changes of all users, after a position",
)
async def changes(reader: ChangesReader) -> Response:
    """With `Accept: text/event-stream` the answer is a stream that goes on for ever."""
    request = reader.request
    services = services_of(request.app)
    is_stream = EVENTS in request.headers.get("accept", "")
    limit = _number(request, "limit", USUAL, least=1, most=MOST)
    given = _number(request, "after", None, least=0, most=2**63 - 1)
    if is_stream and (last := request.headers.get("last-event-id")):
        given = _whole(last, least=0, most=2**63 - 1)
    after = await services.feed.begin(given)
    told = await services.feed.page(after, limit or USUAL)
    if is_stream:
        events = _events(services.feed, services.readiness, after, told)
        return StreamingResponse(events, headers=NO_STORE, media_type=EVENTS)
    position = told[-1].change.position if told else after
    document = {"changes": [_plain(one) for one in told], "next": position}
    return Response(_json(document), headers=NO_STORE, media_type="application/json")


async def _events(
    feed: ChangeFeed, readiness: Readiness, after: int, told: Any
) -> AsyncIterator[bytes]:
    """Until the reader has gone or we stop. It then asks again, with the last id it has."""
    yield b": changes\nretry: %d\n\n" % AGAIN
    silent = 0.0
    try:
        while not readiness.is_draining:
            if told:
                yield b"".join(map(_event, told))
                after, silent = told[-1].change.position, 0.0
            elif silent >= HEARTBEAT:
                yield b": still here\n\n"
                silent = 0.0
            if await feed.more(after, LOOK):
                told = await feed.page(after, USUAL)
            else:
                told, silent = (), silent + LOOK
    except (FellBehind, StorageUnavailable):
        return  # the answer to the next request says which


def _event(told: ChangeWithUser) -> bytes:
    """One server-sent event. JSON has no line end of its own (HTML, "Server-sent events")."""
    change = told.change
    kind = change.kind.value.encode()
    return b"event: %b\ndata: %b\nid: %d\n\n" % (kind, _json(_plain(told)), change.position)


def _plain(told: ChangeWithUser) -> dict[str, Any]:
    user = told.user
    return {
        **change_document(told.change),
        "user": None if user is None else {name: getattr(user, name) for name in _ME},
    }


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, default=plain_values)


def _number(
    request: Request, name: str, default: int | None, *, least: int, most: int
) -> int | None:
    text = request.query_params.get(name)
    return default if text is None else _whole(text, least=least, most=most)


def _whole(text: str, *, least: int, most: int) -> int:
    """Raises `Rejected` for anything but a number in decimal digits."""
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise Rejected(422, "request_invalid")
