"""A request by a person who may use the console: permission, forms and audit trail.

Permission depends only on the person, and not on the path, the method or the Host.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import ClientDisconnect

from domain.errors import (
    InvalidSession,
    SessionPending,
    SigningKeysUnavailable,
    StorageUnavailable,
    StoreOfAnotherInstance,
    SyncError,
)
from domain.ports import Session
from service.auth import unverified_token
from service.console.access import Visitor
from service.console.answers import AT, VISITOR, Refused, SignInNeeded, base_of, room_of
from service.console.room import Room
from service.console.sign_ins import Browser
from service.log import note

SESSION_COOKIE = "__session"
"""Clerk's own cookie, on the domain of the application."""

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")

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
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The time that all ages on the page are counted to."""

    @property
    def may_see_bodies(self) -> bool:
        return self.room.access.may_see_bodies(self.visitor)

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        everywhere = {
            "base": self.base,
            "now": self.now,
            "visitor": self.visitor,
            "form_proof": self.visitor.form_proof,
            "may_see_bodies": self.may_see_bodies,
        }
        return HTMLResponse(self.room.render(template, {**everywhere, **facts}), status)

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
            result = f"{_ending(error)}: {error.explained}"
            raise
        finally:
            await audit.end(action_id, result=result, detail=detail)
        return result


async def reading(request: Request) -> Visit:
    """Raises `SignInNeeded`."""
    room = room_of(request)
    visitor = await _visitor(request, room)
    if visitor is None:
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
    given, wanted = fields.get("form_proof", ""), visit.visitor.form_proof
    if not compare_digest(given.encode(), wanted.encode()):
        words = "Open the page again, and confirm there."
        raise Refused(403, "That form is not from this console", words)
    return fields


Posted = Annotated[Mapping[str, str], Depends(posted)]


def require_confirmed(form: Mapping[str, str], now: object) -> None:
    """Raises `Refused` where the page of the form promised something else than would happen now."""
    if form.get("confirmed") != str(now):
        words = "Nothing was done. Open the page again."
        raise Refused(409, "Something changed meanwhile", words)


def seeing_bodies(visit: Reading) -> Visit:
    """Raises `Refused`."""
    if not visit.may_see_bodies:
        words = "CONSOLE_BODIES says who may see the bodies of deliveries."
        raise Refused(403, "You may not see bodies", words)
    return visit


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, the last of each name. Raises `Refused` (400, 408, 413 or 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "That is not a form", "Nothing was done.")
    try:
        async with asyncio.timeout(MAX_FORM_SECONDS):
            body = await _short_body(request)
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
        ours = not origin or origin.partition("://")[2] == request.headers.get("host")
    if not ours:
        raise Refused(403, "Another site asked for that", "Nothing was done.")


async def browsers_session(request: Request, room: Room) -> Session | None:
    """The proven Clerk session in Clerk's own cookie, or None. Raises `SigningKeysUnavailable`."""
    unverified_cookie = request.cookies.get(SESSION_COOKIE, "")
    if not (unverified_cookie and room.access.takes_sessions):
        return None
    try:
        return await room.services.sessions.verify(unverified_cookie)
    except (InvalidSession, SessionPending):
        return None


def cookie_names(request: Request) -> tuple[str, str]:
    """The name of the cookie, and its name where the public side is plain http on loopback.

    A browser takes a `__Host-` cookie only if it is `Secure` and of no other host (RFC 6265bis
    §4.1.3). Its path is `/`, so a console under a prefix has a name of its own.
    """
    prefix = re.sub("[^A-Za-z0-9]+", "-", base_of(request).removesuffix(AT))
    return f"__Host-console{prefix}", f"console{prefix}"


def unverified_secret(request: Request) -> str:
    """The secret in the cookie of a sign-in, or an empty text."""
    safe, plain = cookie_names(request)
    secret = request.cookies.get(safe, "")
    # Another host of the same domain could plant the plain one, but not for loopback.
    if not secret and is_loopback(request.headers.get("host", "")):
        return request.cookies.get(plain, "")
    return secret


def is_loopback(netloc: str) -> bool:
    return _LOOPBACK.fullmatch(netloc) is not None


async def _short_body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise Refused(413, "The form is too long", "Nothing was done.")
    return body


async def _visitor(request: Request, room: Room) -> Visitor | None:
    if secret := unverified_secret(request):
        session = None
        with suppress(SigningKeysUnavailable):
            session = await browsers_session(request, room)
        browser = Browser(SESSION_COOKIE in request.cookies, session)
        return await room.sign_ins.visitor(secret, browser)
    if "authorization" in request.headers and room.access.takes_sessions:
        return await _bearer(request, room)
    return None


async def _bearer(request: Request, room: Room) -> Visitor | None:
    """A client that is no browser proves its Clerk session with each request."""
    try:
        session = await room.services.sessions.verify(unverified_token(request.scope["headers"]))
    except (InvalidSession, SessionPending):
        return None
    ground = room.access.of_session(session)
    if ground is None or await room.sign_ins.is_locked_out(session.user_id):
        return None
    return Visitor(
        name=session.user_id,
        may_act=room.access.rights[ground].may_act,
        form_proof=room.access.proof(session.session_id),
        user_id=session.user_id,
    )


def _ending(error: SyncError) -> str:
    """A store that gives no answer may have done what it was asked for."""
    is_uncertain = isinstance(error, StorageUnavailable)
    is_refused = isinstance(error, StoreOfAnotherInstance)
    return "not certain" if is_uncertain and not is_refused else "failed"
