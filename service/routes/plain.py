"""Routes whose endpoint takes one thing, and the short way to them in an application of our own."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import SyncError
from domain.user import LocalUser
from service.auth import (
    SESSION_ERRORS,
    USER_ERRORS,
    CurrentSession,
    CurrentUser,
    clerk_session,
    current_user,
)
from service.errors import Rejected, answer, documented, problem
from service.log import note

_ANOTHER_SPELLING = re.compile(
    rb"%(2[DdEeFf]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)
"""A letter, a digit, one of `-._~` or a slash, percent-encoded. RFC 3986 §2.3 wants none so."""

Resolve = Callable[[Request], Awaitable[Any]]


async def _the_request(request: Request) -> Request:
    return request


async def _the_user(request: Request) -> LocalUser:
    return await current_user(request, await clerk_session(request))


_RESOLVED: Mapping[Any, tuple[Resolve, tuple[type[SyncError], ...]]] = {
    Request: (_the_request, ()),
    CurrentSession: (clerk_session, SESSION_ERRORS),
    CurrentUser: (_the_user, USER_ERRORS),
}
"""What an endpoint may take: how the short way resolves it, and the errors that this raises."""


class PlainRoute(APIRoute):
    """A route of FastAPI whose endpoint takes exactly one parameter, of one of the types `takes`.

    FastAPI serves it as any other route: middleware, dependencies and `dependency_overrides` apply,
    and its OpenAPI has the security scheme of what it takes. `PlainRoutes` serves it without
    FastAPI's dependency injection, which takes longer than the store.

    Raises `TypeError` when it is made with an endpoint that takes anything else. So an endpoint
    cannot forget its session: it is given one, or it does not exist.
    """

    takes: ClassVar[tuple[Any, ...]] = (Request, CurrentSession, CurrentUser)

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.resolve, errors = _RESOLVED[_taken(endpoint, self.takes)]
        options["responses"] = {**documented(*errors), **(options.get("responses") or {})}
        super().__init__(path, endpoint, **options)


class SessionRoute(PlainRoute):
    """A route that a session token opens. Its endpoint takes the session, or the user."""

    takes = (CurrentSession, CurrentUser)


def _taken(endpoint: Callable[..., Any], takes: tuple[Any, ...]) -> Any:
    """The annotation of the endpoint's one parameter."""
    parameters = inspect.signature(endpoint, eval_str=True).parameters.values()
    taken = [parameter.annotation for parameter in parameters]
    if len(taken) != 1 or taken[0] not in takes:
        names = " or ".join(_name(one) for one in takes)
        raise TypeError(f"{endpoint.__qualname__} must take exactly one parameter: {names}")
    return taken[0]


def _name(annotation: Any) -> str:
    names = {CurrentSession: "CurrentSession", CurrentUser: "CurrentUser"}
    return names.get(annotation) or annotation.__name__


class PlainRoutes:
    """Answers plain routes at once; everything else goes through the framework's layers.

    The framework would find the same route and give the same answer, in several times the time.
    It is used for everything once somebody has added middleware or overrides to the application.
    Figures: docs/performance.md.

    A path has one spelling, so that a proxy's rule about `/metrics` holds: `/%6Detrics` is a 404.
    """

    def __init__(
        self, app: FastAPI, framework: ASGIApp, routes: Iterable[BaseRoute], root_path: str
    ) -> None:
        self._app = app
        self._framework = framework
        self._routes: Mapping[tuple[object, object], PlainRoute] = {
            (method, f"{root_path}{route.path}"): route
            for route in routes
            if isinstance(route, PlainRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"%" in scope.get("raw_path", b"") and _ANOTHER_SPELLING.search(scope["raw_path"]):
            note(scope, outcome="not_found")
            await problem(404, "not_found")(scope, receive, send)
            return
        route = self._routes.get((scope.get("method"), scope.get("path")))
        if route is None or self._app.dependency_overrides or self._app.user_middleware:
            await self._framework(scope, receive, send)
            return
        scope["route"] = route
        response = await _answer(route, Request(scope, receive))
        await response(scope, receive, send)


async def _answer(route: PlainRoute, request: Request) -> Response:
    try:
        response: Response = await route.endpoint(await route.resolve(request))
    except (SyncError, Rejected) as error:
        return answer(request.scope, error)
    return response
