"""What every answer of the console has in common: its headers, and refusals as pages."""

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from domain.errors import IdentityProviderUnavailable, SigningKeysUnavailable, StorageUnavailable
from service.console.room import Room, console_of
from service.console.words import sentence
from service.log import note

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}

AT = "/console"

ONE_ROUTE = SimpleNamespace(path=AT)
"""What the metrics take for the route: one series for all pages, not one for each."""

NO_STORE = {"Cache-Control": "no-store"}

_UNAVAILABLE = {
    StorageUnavailable: (
        "The store cannot be reached",
        "Nothing was changed. Try again; see the overview for what else is down.",
    ),
    SigningKeysUnavailable: (
        "No session can be checked yet",
        "The signing keys could not be loaded. Try again, or sign in with a token.",
    ),
}


VISITOR = "console_visitor"
"""Where a request's state keeps who is asking: a refusal too is a page of theirs."""


class SignInNeeded(Exception):
    """Nobody we know. `words` are about an attempt that failed."""

    def __init__(self, words: str = "", status: int = 401) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class Refused(Exception):
    """Somebody we know, and what they may not or cannot do."""

    def __init__(self, status: int, title: str, words: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.words = words


class ConsoleRoute(APIRoute):
    """A route whose every answer bears the headers, and whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            note(request.scope, page=self.path or "/")
            request.scope["route"] = ONE_ROUTE
            response = await _answered(handle, request)
            for name, text in {**HEADERS, **NO_STORE}.items():
                response.headers.setdefault(name, text)
            return response

        return answer


async def _answered(
    handle: Callable[[Request], Coroutine[Any, Any, Response]], request: Request
) -> Response:
    try:
        return await handle(request)
    except SignInNeeded as needed:
        return _sign_in(request, needed)
    except Refused as refused:
        return _message(request, refused)
    except IdentityProviderUnavailable as error:
        words = f"{sentence(error.explained)}. Nothing was changed."
        return _message(request, Refused(503, "Clerk gives no answer we can use", words))
    except tuple(_UNAVAILABLE) as error:
        title, words = _UNAVAILABLE[next(k for k in _UNAVAILABLE if isinstance(error, k))]
        return _message(request, Refused(503, title, words))


def base_of(request: Request) -> str:
    """Where the console is, under whatever prefix the application is served."""
    return f"{request.scope.get('root_path', '').rstrip('/')}{AT}"


def room_of(request: Request) -> Room:
    """Raises 404, as for any unknown path, while the console is not configured."""
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
    headers = {"WWW-Authenticate": "Bearer"} if needed.status == 401 else {}
    return HTMLResponse(room.templates.render("sign_in.html", facts), needed.status, headers)


def _sign_in(request: Request, needed: SignInNeeded) -> Response:
    note(request.scope, outcome="console_sign_in_needed")
    if "hx-request" in request.headers:
        # A part of a page that is shown still: the whole of it is asked for again.
        return Response(status_code=needed.status, headers={"HX-Refresh": "true"})
    if not _is_somebody_navigating(request):
        return sign_in_page(request, needed, "")
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        # A strict cookie is not sent along such a link. Once more, from our own page, it is.
        return HTMLResponse(room_of(request).templates.render("once_more.html", {}))
    after = quote(_within_the_console(request), safe="")
    return RedirectResponse(f"{base_of(request)}/sign-in?after={after}", 303)


def _is_somebody_navigating(request: Request) -> bool:
    """A browser showing a page, as it says itself (Fetch Metadata)."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def _within_the_console(request: Request) -> str:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    query = request.scope["query_string"].decode("latin-1")
    return path.removeprefix(AT).lstrip("/") + (f"?{query}" if query else "")


def _message(request: Request, refused: Refused) -> Response:
    note(request.scope, outcome="console_refused")
    facts = {
        "base": base_of(request),
        "title": refused.title,
        "words": refused.words,
        "visitor": getattr(request.state, VISITOR, None),
        "active": "",
    }
    page = room_of(request).templates.render("message.html", facts)
    return HTMLResponse(page, refused.status)
