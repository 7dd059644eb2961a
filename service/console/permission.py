"""The permission of every page and action, as a dependency of the router they are in.

It looks at who is asking and at nothing else: no path, no method and no Host makes a difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from domain.errors import InvalidSession, SessionPending
from domain.user import LocalUser
from service.auth import unverified_token
from service.console.access.tickets import COOKIE
from service.console.access.visitor import Visitor
from service.console.answers import VISITOR, Refused, SignInNeeded, base_of, room_of
from service.console.forms import read_form
from service.console.room import Room
from service.log import note

SESSION_COOKIE = "__session"
"""Clerk's own, on the application's own domain."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A request by somebody who may read. `base` is where the console is."""

    request: Request
    room: Room
    visitor: Visitor
    base: str

    @property
    def may_see_bodies(self) -> bool:
        return self.room.access.may_see_bodies(self.visitor)

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        everywhere = {
            "base": self.base,
            "visitor": self.visitor,
            "form_proof": self.room.access.form_proof(self.visitor),
            "may_see_bodies": self.may_see_bodies,
        }
        return HTMLResponse(self.room.templates.render(template, {**everywhere, **facts}), status)

    def go_on(self, path: str) -> Response:
        """After something was done: to a page of the console."""
        return RedirectResponse(f"{self.base}{path}", 303)


async def reading(request: Request) -> Visit:
    """Raises `SignInNeeded`."""
    room = room_of(request)
    visitor = await _visitor(request, room)
    if visitor is None or await _is_locked_out(room, visitor):
        raise SignInNeeded
    setattr(request.state, VISITOR, visitor)
    note(request.scope, user_id=visitor.user_id)
    return Visit(request=request, room=room, visitor=visitor, base=base_of(request))


Reading = Annotated[Visit, Depends(reading)]


async def acting(visit: Reading) -> Visit:
    """Raises `Refused` for somebody who may only read."""
    if not visit.visitor.may_act:
        raise Refused(403, "You may look, not act", "Sign in as an operator to do that.")
    return visit


Acting = Annotated[Visit, Depends(acting)]


async def posted(request: Request, visit: Acting) -> Mapping[str, str]:
    """The fields of a form of ours. Raises `Refused` for a form that is not."""
    require_same_origin(request)
    fields = await read_form(request)
    if not visit.room.access.is_our_form(visit.visitor, fields.get("form_proof", "")):
        raise Refused(403, "That form is not ours", "Open the page again, and confirm there.")
    return fields


Posted = Annotated[Mapping[str, str], Depends(posted)]


def require_same_origin(request: Request) -> None:
    """Raises `Refused` where a browser says that another site asks (Fetch Metadata; RFC 6454)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        ours = site == "same-origin"
    else:
        origin = request.headers.get("origin")
        ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not ours:
        raise Refused(403, "Another site asked for that", "Nothing was done.")


def seeing_bodies(visit: Reading) -> Visit:
    """Raises `Refused`."""
    if not visit.may_see_bodies:
        raise Refused(403, "Bodies are not for you to see", "CONSOLE_BODIES says for whom.")
    return visit


async def session_visitor(request: Request, room: Room) -> Visitor | None:
    """Whom a proven Clerk session lets in. Raises `SigningKeysUnavailable`."""
    if not room.access.takes_sessions:
        return None
    try:
        session = await room.services.sessions.verify(_unverified_session(request))
    except (InvalidSession, SessionPending):
        return None
    return room.access.with_session(session)


async def _visitor(request: Request, room: Room) -> Visitor | None:
    ticket = request.cookies.get(COOKIE)
    visitor = room.access.with_ticket(ticket) if ticket else None
    return visitor or await session_visitor(request, room)


def _unverified_session(request: Request) -> str:
    if "authorization" in request.headers:
        return unverified_token(request.scope["headers"])
    return request.cookies.get(SESSION_COOKIE, "")


async def _is_locked_out(room: Room, visitor: Visitor) -> bool:
    """Deleted or banned since the ticket was issued."""
    if visitor.user_id is None:
        return False
    record = await room.store.users.get(visitor.user_id)
    return record is not None and not (isinstance(record, LocalUser) and not record.banned)
