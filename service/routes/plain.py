"""Routes whose endpoint takes the request and nothing else, and the short way to them."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import SyncError
from service.errors import Rejected, answer


class PlainRoute(APIRoute):
    """Documented as any other, but nothing is injected: that would cost more than the store does.

    `dependencies` are for OpenAPI; the endpoint sees to them itself. Source: FastAPI, "Custom
    Request and APIRoute class". What it saves: docs/performance.md.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


class PlainRoutes:
    """Answers plain routes at once; everything else goes through the framework's layers.

    Those find the same route and give the same answer, for several times the price.
    """

    def __init__(self, framework: ASGIApp, routes: Iterable[BaseRoute], root_path: str) -> None:
        self._framework = framework
        self._routes: Mapping[tuple[object, object], PlainRoute] = {
            (method, f"{root_path}{route.path}"): route
            for route in routes
            if isinstance(route, PlainRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope.get("method"), scope.get("path")))
        if route is None:
            await self._framework(scope, receive, send)
            return
        scope["route"] = route
        response = await _answer(route, Request(scope, receive))
        await response(scope, receive, send)


async def _answer(route: PlainRoute, request: Request) -> Response:
    try:
        response: Response = await route.endpoint(request)
    except (SyncError, Rejected) as error:
        return answer(request.scope, error)
    return response
