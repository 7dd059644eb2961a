"""Routes whose endpoint takes one parameter, and a fast path to them that bypasses FastAPI."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import FellBehind, InvalidChangesToken, StorageUnavailable, SyncError
from domain.user import LocalUser
from service.auth import (
    SESSION_ERRORS,
    USER_ERRORS,
    CurrentSession,
    CurrentUser,
    clerk_session,
    current_user,
)
from service.changes_token import ChangesReader, changes_reader
from service.errors import Rejected, answer, documented, problem
from service.log import note

_ANOTHER_SPELLING = re.compile(
    rb"%(2[DdEeFf]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)
"""A percent-encoded letter, digit, slash or one of `-._~`: needless by RFC 3986 §2.3."""

Resolve = Callable[[Request], Awaitable[Any]]


async def _request(request: Request) -> Request:
    return request


async def _user(request: Request) -> LocalUser:
    return await current_user(request, await clerk_session(request))


_RESOLVED: Mapping[Any, tuple[Resolve, tuple[type[SyncError], ...]]] = {
    Request: (_request, ()),
    CurrentSession: (clerk_session, SESSION_ERRORS),
    CurrentUser: (_user, USER_ERRORS),
    ChangesReader: (changes_reader, (InvalidChangesToken, FellBehind, StorageUnavailable)),
}
"""The parameters an endpoint may take: how the fast path resolves each, and the errors raised."""


class PlainRoute(APIRoute):
    """A FastAPI route whose endpoint takes exactly one parameter, of one of the types in `takes`.

    FastAPI serves it as any other route: middleware, dependencies and `dependency_overrides` apply,
    and its OpenAPI has the security scheme of the parameter. `PlainRoutes` serves it without
    FastAPI's dependency injection, which takes longer than the store.

    Raises `TypeError` for an endpoint that takes anything else.
    """

    takes: ClassVar[tuple[Any, ...]] = (Request, CurrentSession, CurrentUser)

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.resolve, errors = _RESOLVED[_taken(endpoint, self.takes)]
        options["responses"] = {**documented(*errors), **(options.get("responses") or {})}
        super().__init__(path, endpoint, **options)


class SessionRoute(PlainRoute):
    """A route that requires a session token. Its endpoint must take the session or the user, so an
    endpoint under `/v1` cannot leave out its session.
    """

    takes = (CurrentSession, CurrentUser)


class ChangesRoute(PlainRoute):
    """A route that requires CHANGES_TOKEN."""

    takes = (ChangesReader,)


def _taken(endpoint: Callable[..., Any], takes: tuple[Any, ...]) -> Any:
    """The annotation of the endpoint's one parameter."""
    parameters = inspect.signature(endpoint, eval_str=True).parameters.values()
    taken = [parameter.annotation for parameter in parameters]
    if len(taken) != 1 or taken[0] not in takes:
        names = " or ".join(_name(one) for one in takes)
        raise TypeError(f"{endpoint.__qualname__} must take exactly one parameter: {names}")
    return taken[0]


def _name(annotation: Any) -> str:
    names = {
        CurrentSession: "CurrentSession",
        CurrentUser: "CurrentUser",
        ChangesReader: "ChangesReader",
    }
    return names.get(annotation) or annotation.__name__


class PlainRoutes:
    """Calls the endpoints of plain routes directly, and the framework for everything else.

    The framework would give the same answers, in several times the time (docs/performance.md). It
    serves all routes if the application has middleware or dependency overrides.

    A needlessly percent-encoded path is a 404: `/%6Detrics` must not evade a proxy's rule about
    `/metrics`.
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
