"""A request by a person who is let in: their permission, their forms, and their audit trail.

Permission depends on the person alone: no path, no method and no Host makes a difference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import ClientDisconnect

from domain.errors import InvalidSession, SessionPending, SyncError
from domain.user import LocalUser
from service.auth import unverified_token
from service.console.access import COOKIE, Visitor
from service.console.answers import VISITOR, Refused, SignInNeeded, base_of, room_of
from service.console.room import Room
from service.log import note

SESSION_COOKIE = "__session"
"""Clerk's own cookie, on the domain of the application."""

MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 20
MAX_FORM_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A request by a person who may read. `base` is the path of the console."""

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
        """The answer to an action that is done: a page of the console."""
        return RedirectResponse(f"{self.base}{path}", 303)

    async def on_the_trail(
        self,
        action: str,
        target: str | None,
        detail: Mapping[str, Any],
        work: Callable[[], Awaitable[str]],
    ) -> str:
        """The result of `work`, a short action.

        It is on the audit trail before it begins, and its result when it ends in any way.
        """
        audit = self.room.store.audit
        action_id = await audit.begin(
            who=self.visitor.name, action=action, target=target, detail=detail
        )
        result = "broken off"
        try:
            result = await work()
        except SyncError as error:
            result = f"failed: {error.explained}"
            raise
        finally:
            await audit.end(action_id, result=result, detail=detail)
        return result


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
    """Raises `Refused` for a person who may only read."""
    if not visit.visitor.may_act:
        raise Refused(403, "You may look, not act", "Sign in as an operator to do that.")
    return visit


Acting = Annotated[Visit, Depends(acting)]


async def posted(request: Request, visit: Acting) -> Mapping[str, str]:
    """The fields of a form that a page of ours showed to this visitor. Raises `Refused`."""
    require_same_origin(request)
    fields = await read_form(request)
    if not visit.room.access.is_our_form(visit.visitor, fields.get("form_proof", "")):
        words = "Open the page again, and confirm there."
        raise Refused(403, "That form is not from this console", words)
    return fields


Posted = Annotated[Mapping[str, str], Depends(posted)]


def seeing_bodies(visit: Reading) -> Visit:
    """Raises `Refused`."""
    if not visit.may_see_bodies:
        words = "CONSOLE_BODIES says who may see the bodies of deliveries."
        raise Refused(403, "You may not see bodies", words)
    return visit


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, the last of each name. Raises `Refused` (400, 408 or 415).

    The router limits its size.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "That is not a form", "Nothing was done.")
    try:
        async with asyncio.timeout(MAX_FORM_SECONDS):
            body = await request.body()
        pairs = parse_qsl(body.decode(), max_num_fields=MAX_FORM_FIELDS, keep_blank_values=True)
    except (TimeoutError, ClientDisconnect):
        raise Refused(408, "The form did not arrive in time", "Nothing was done.") from None
    except ValueError:
        raise Refused(400, "The form cannot be read", "Nothing was done.") from None
    return dict(pairs)


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


async def session_visitor(request: Request, room: Room) -> Visitor | None:
    """The person that a proven Clerk session lets in. Raises `SigningKeysUnavailable`."""
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
    """Whether the user is deleted or banned since they signed in."""
    if visitor.user_id is None:
        return False
    record = await room.store.users.get(visitor.user_id)
    return record is not None and not (isinstance(record, LocalUser) and not record.banned)
