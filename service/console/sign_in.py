"""Signing in and out, and the static files: the routes that need no permission."""

import re
from datetime import timedelta
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from service.console.access import COOKIE, Visitor
from service.console.answers import ConsoleRoute, Refused, SignInNeeded, base_of, room_of
from service.console.answers import sign_in_page as page
from service.console.rendering import HERE
from service.console.room import Room
from service.console.visit import read_form, require_same_origin, session_visitor

router = APIRouter(route_class=ConsoleRoute)

_FILES = StaticFiles(directory=HERE / "static")

_FOR_GOOD = "public, max-age=31536000, immutable"
"""The address of a file changes with its content."""

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    room_of(request)
    try:
        answer = await _FILES.get_response(name, request.scope)
    except HTTPException:
        raise Refused(404, "There is no such file", "") from None
    answer.headers["Cache-Control"] = _FOR_GOOD
    return answer


@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    return page(request, SignInNeeded(status=200), request.query_params.get("after", ""))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Exchanges a token, or the Clerk session of this browser, for a ticket."""
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
    # Whatever `after` holds, the redirection stays within the console.
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
        # A client that lies about the host gets a cookie that harms only its own browser.
        secure=_LOOPBACK.fullmatch(request.headers.get("host", "")) is None,
    )
