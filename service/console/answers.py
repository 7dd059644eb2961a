"""What every answer of the console has in common: its headers, and refusals as pages."""

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from domain.errors import (
    AlreadyRunning,
    IdentityProviderUnavailable,
    SigningKeysUnavailable,
    StorageUnavailable,
    StoreOfAnotherInstance,
    SyncError,
    Unstorable,
    UserUnreadable,
    WrongInstance,
)
from service.console.rendering import sentence
from service.console.room import SECTIONS, Room, console_of
from service.log import note

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form would come with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Of every answer that does not set them itself."""

AT = "/console"

ONE_ROUTE = SimpleNamespace(path=AT)
"""The route in the metrics: one series for all pages."""

VISITOR = "console_visitor"
"""Where a request's state keeps the visitor: the page of a refusal shows their name too."""


class SignInNeeded(Exception):
    """The request shows no permission. `words` explain an attempt to sign in that failed."""

    def __init__(self, words: str = "", status: int = 401) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class Refused(Exception):
    """A request that is not done, with a page that says why."""

    def __init__(self, status: int, title: str, words: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.words = words


class ConsoleRoute(APIRoute):
    """A route whose every answer has the headers, and whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            note(request.scope, page=self.path or "/")
            request.scope["route"] = ONE_ROUTE
            try:
                response = await handle(request)
            except SignInNeeded as needed:
                response = _sign_in(request, needed)
            except Refused as refused:
                response = _message(request, refused)
            except SyncError as error:
                response = _message(request, _refusal(error, request.method))
            for name, text in HEADERS.items():
                response.headers.setdefault(name, text)
            return response

        return answer


def base_of(request: Request) -> str:
    """The path of the console, under the prefix at which the application is served."""
    return f"{request.scope.get('root_path', '').rstrip('/')}{AT}"


def room_of(request: Request) -> Room:
    """Raises 404, as for any unknown path, while there is no console."""
    room = console_of(request.app)
    if room is None:
        raise HTTPException(404)
    return room


def sign_in_page(request: Request, needed: SignInNeeded, after: str) -> Response:
    """`after` is the page to go on to, as a path within the console."""
    room = room_of(request)
    facts = {
        "base": base_of(request),
        "after": after,
        "words": needed.words,
        "takes_tokens": room.access.takes_tokens,
        "takes_sessions": room.access.takes_sessions,
        "visitor": None,
    }
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "60"}}.get(needed.status)
    return HTMLResponse(room.render("sign_in.html", facts), needed.status, headers)


def _refusal(error: SyncError, method: str) -> Refused:
    """One of our own errors as a page. Raises the error itself where there is none for it."""
    match error:
        case UserUnreadable() | WrongInstance() | StoreOfAnotherInstance() | Unstorable():
            return Refused(409, "Nothing was done", f"{sentence(error.explained)}.")
        case StorageUnavailable():
            is_read = method in ("GET", "HEAD")
            uncertain = "Whether it was done is not certain: see Audit"
            done = "Nothing was changed. Try again" if is_read else uncertain
            words = f"{done}; /readyz and doctor say what else is down."
            return Refused(503, "The store cannot be reached", words)
        case SigningKeysUnavailable():
            words = "The signing keys could not be loaded. Try again, or sign in with a token."
            return Refused(503, "No session can be checked yet", words)
        case AlreadyRunning():
            words = f"{error.holder} is under way. Nothing was begun; try again when it has ended."
            return Refused(409, "Another run is under way", words)
        case IdentityProviderUnavailable():
            words = f"{sentence(error.explained)}. Nothing was changed."
            return Refused(503, "Clerk gives no usable answer", words)
    raise error


def _sign_in(request: Request, needed: SignInNeeded) -> Response:
    note(request.scope, outcome="console_sign_in_needed")
    if "hx-request" in request.headers:
        # The page that asks for this part of itself is out of date: load all of it again.
        return Response(status_code=needed.status, headers={"HX-Refresh": "true"})
    if not _is_navigation(request):
        return sign_in_page(request, needed, "")
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        # A strict cookie is not sent along such a link. Loaded again by our own page, it is.
        return HTMLResponse(room_of(request).render("once_more.html", {}))
    after = quote(_within_the_console(request), safe="")
    return RedirectResponse(f"{base_of(request)}/sign-in?after={after}", 303)


def _is_navigation(request: Request) -> bool:
    """Whether a browser says that it will show the answer as a page (Fetch Metadata)."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def _within_the_console(request: Request) -> str:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    query = request.scope["query_string"].decode("latin-1")
    return path.removeprefix(AT).lstrip("/") + (f"?{query}" if query else "")


def _message(request: Request, refused: Refused) -> Response:
    note(request.scope, outcome="console_refused")
    back = _page_above(request)
    facts = {
        "base": base_of(request),
        "title": refused.title,
        "words": refused.words,
        "visitor": getattr(request.state, VISITOR, None),
        "active": back.partition("/")[0],
        "back": back,
    }
    page = room_of(request).render("message.html", facts)
    return HTMLResponse(page, refused.status)


def _page_above(request: Request) -> str:
    """The page from which one came to this one, as a path within the console."""
    path = _within_the_console(request).partition("?")[0]
    above = path.rpartition("/")[0]
    return above if above.partition("/")[0] in SECTIONS else ""
