"""The way in and the way out. What needs no permission is here and nowhere else."""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from service.console.access.tickets import COOKIE
from service.console.access.visitor import Visitor
from service.console.answers import ConsoleRoute, Refused, SignInNeeded, base_of, room_of
from service.console.answers import sign_in_page as page
from service.console.forms import read_form
from service.console.permission import require_same_origin, session_visitor
from service.console.room import Room

router = APIRouter(route_class=ConsoleRoute)

STATIC = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "htmx-2.0.11.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HERE = Path(__file__).parents[1] / "static"

FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}
"""The address changes with the content."""

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    room_of(request)
    if name not in STATIC:
        raise Refused(404, "There is no such page", "")
    return FileResponse(HERE / name, media_type=STATIC[name], headers=FOR_GOOD)


@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    return page(request, SignInNeeded(status=200), request.query_params.get("after", ""))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Exchanges a token, or the Clerk session that comes along, for a ticket."""
    room = room_of(request)
    require_same_origin(request)
    fields = await read_form(request)
    address = request.client.host if request.client else ""
    if room.access.attempts.are_exhausted(address):
        raise SignInNeeded("Too many attempts. Try again in a minute.", 429)
    visitor = await _visitor(request, room, fields.get("token", "").strip())
    if visitor is None:
        room.access.attempts.failed(address)
        raise SignInNeeded("That does not open the console.")
    audit = room.store.audit
    action_id = await audit.begin(who=visitor.name, action="sign in", target=None, detail={})
    await audit.end(action_id, result="signed in", detail={})
    return _with_ticket(request, room, visitor, fields.get("after", ""))


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    room_of(request)
    require_same_origin(request)
    answer = RedirectResponse(f"{base_of(request)}/sign-in", 303)
    answer.delete_cookie(COOKIE, path=base_of(request))
    return answer


async def _visitor(request: Request, room: Room, unverified_token: str) -> Visitor | None:
    if unverified_token:
        return room.access.with_token(unverified_token)
    return await session_visitor(request, room)


def _with_ticket(request: Request, room: Room, visitor: Visitor, after: str) -> Response:
    ticket, lifetime = room.access.ticket(visitor)
    # Within the console, whatever was asked for: nobody is sent elsewhere from here.
    path = quote(after.lstrip("/\\"), safe="/?&=:%+@.,-_~")
    answer = RedirectResponse(f"{base_of(request)}/{path}".rstrip("/"), 303)
    _set_cookie(request, answer, ticket, lifetime)
    return answer


def _set_cookie(request: Request, answer: Response, ticket: str, lifetime: timedelta) -> None:
    answer.set_cookie(
        COOKIE,
        ticket,
        max_age=int(lifetime.total_seconds()),
        path=base_of(request),
        httponly=True,
        samesite="strict",
        # Whoever lies about the host gets a cookie that only their own browser is the worse for.
        secure=_LOOPBACK.fullmatch(request.headers.get("host", "")) is None,
    )
