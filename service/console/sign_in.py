"""Signing in and out, and the static files: the routes that need no permission."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from domain.ports import Session
from service.console.access import network_of
from service.console.answers import ConsoleRoute, Refused, SignInNeeded, base_of, room_of
from service.console.answers import sign_in_page as page
from service.console.rendering import HERE, static_version
from service.console.room import Room
from service.console.sign_ins import IMPERSONATED, LIFETIME, LOCKED_OUT
from service.console.visit import (
    browsers_session,
    cookie_names,
    is_loopback,
    read_form,
    require_same_origin,
    unverified_secret,
)

router = APIRouter(route_class=ConsoleRoute)

_FILES = StaticFiles(directory=HERE / "static")

_FOR_GOOD = "public, max-age=31536000, immutable"
"""For an address that changes with the content of the file."""


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    room_of(request)
    try:
        answer = await _FILES.get_response(name, request.scope)
    except HTTPException:
        raise Refused(404, "There is no such file", "") from None
    # A page of another release, in a rolling deployment, gets our file and must not keep it.
    if request.query_params.get("v") == static_version():
        answer.headers["Cache-Control"] = _FOR_GOOD
    return answer


@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    return page(request, SignInNeeded(status=200), request.query_params.get("after", ""))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Exchanges a token, or the Clerk session of this browser, for a sign-in of its own."""
    room = room_of(request)
    require_same_origin(request)
    is_plain = _is_plain_loopback(request)
    fields = await read_form(request)
    token = fields.get("token", "").strip()
    session = None if token else await browsers_session(request, room)
    # The proof is checked first, and only failures are limited: else guesses lock operators out.
    ground = room.access.of_session(session) if session else room.access.of_token(token)
    if ground is None or (session and await room.sign_ins.is_locked_out(session.user_id)):
        raise await _refusal(request, room, token, session, ground)
    await room.sign_ins.end_this(unverified_secret(request))
    secret = await room.sign_ins.open(ground, session)
    # The redirection stays within the console, for any `after`.
    path = quote(fields.get("after", "").lstrip("/\\"), safe="/?&=:%+@.,-_~")
    answer = RedirectResponse(f"{base_of(request)}/{path}".rstrip("/"), 303)
    safe, plain = cookie_names(request)
    answer.set_cookie(
        plain if is_plain else safe,
        secret,
        max_age=int(LIFETIME.total_seconds()),
        path=base_of(request) if is_plain else "/",
        httponly=True,
        samesite="strict",
        secure=not is_plain,
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    room = room_of(request)
    require_same_origin(request)
    await room.sign_ins.end(unverified_secret(request))
    answer = RedirectResponse(f"{base_of(request)}/sign-in", 303)
    safe, plain = cookie_names(request)
    answer.delete_cookie(safe, path="/", secure=True, httponly=True, samesite="strict")
    answer.delete_cookie(plain, path=base_of(request), httponly=True, samesite="strict")
    return answer


def _is_plain_loopback(request: Request) -> bool:
    """Whether the browser itself is at plain http on loopback, by the `Origin` that it sends.

    The Host header does not tell: a proxy may replace it. Raises `Refused` for plain http to any
    other host, where the cookie would not be kept.
    """
    scheme, _, netloc = request.headers.get("origin", "").partition("://")
    if scheme == "http" and not is_loopback(netloc):
        words = "Open it at https://. Plain http is for this machine only (localhost)."
        raise Refused(400, "The console needs https", words)
    return scheme == "http"


async def _refusal(
    request: Request, room: Room, token: str, session: Session | None, ground: str | None
) -> SignInNeeded:
    """Counts and records the failure. Without a token or session there is nothing to guess with."""
    if not token and session is None:
        return SignInNeeded("Enter a token. There is no Clerk session in this browser.")
    address = room.access.address_of(request)
    if not room.access.attempts.allows(network_of(address)):
        return SignInNeeded("Too many attempts. Try again in a minute.", 429)
    who = session.user_id if session else "unknown"
    # Enough to see where it comes from, and no person's address: the trail is kept for good.
    network = network_of(address, v4=24, v6=48)
    await room.sign_ins.failed(who, network, _why_refused(session, ground))
    return SignInNeeded("The token is wrong, or this user may not use the console.")


def _why_refused(session: Session | None, ground: str | None) -> str:
    if session is None:
        return "a wrong token"
    if ground is not None:
        return LOCKED_OUT
    return "the user is on no list" if session.actor is None else IMPERSONATED
