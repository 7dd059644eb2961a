"""Attach our services to a host's application and to the applications mounted into it."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Host, Mount

from domain.errors import SyncError
from service.auth import OPTIONAL_SCHEME, SCHEME, USER_ERRORS
from service.errors import answer_sync_errors, documented
from service.services import Services, attach


def attach_to_all(app: FastAPI, services: Services) -> None:
    """Let `CurrentUser` and `CurrentSession` work in `app` and in applications mounted into it.

    While a mounted application answers, `request.app` is that application. So each one gets the
    services, the handlers of our errors and their answers in its OpenAPI document.
    """
    for one in applications(app):
        attach(one, services)
        if SyncError not in one.exception_handlers:
            _answer_sync_errors(one)
        document_problems(one)


def document_problems(app: FastAPI) -> None:
    """Add the 401, 403 and 503 of our dependencies to the OpenAPI document of `app`.

    A second call changes nothing.
    """
    if isinstance(app.openapi, _Documenting):
        return
    # FastAPI's own way to extend it: https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = _Documenting(app.openapi)  # type: ignore[method-assign]


def applications(app: FastAPI) -> Iterator[FastAPI]:
    """`app`, and what is mounted into it or into a router that it includes."""
    yield app
    yield from _mounted(app.routes)


def _answer_sync_errors(app: FastAPI) -> None:
    """Register the handlers of our errors, also in middleware that runs already.

    A server calls the lifespan of `app` through its middleware, which has the earlier handlers.
    Where a function hides what it calls, the middleware is built anew for later requests.
    """
    answer_sync_errors(app)
    layer: Any = app.middleware_stack
    found = False
    while layer is not None:
        if isinstance(layer, ExceptionMiddleware):
            answer_sync_errors(layer)
            found = True
        layer = getattr(layer, "app", None)
    if not found:
        app.middleware_stack = None


class _Documenting:
    def __init__(self, original: Any) -> None:
        self._original = original

    def __call__(self) -> dict[str, Any]:
        document: dict[str, Any] = self._original()
        for path in document.get("paths", {}).values():
            for operation in path.values():
                if isinstance(operation, dict):
                    _add_problems(operation)
        _name_one_scheme(document.get("components", {}).get("securitySchemes", {}))
        return document


def _add_problems(operation: dict[str, Any]) -> None:
    """Add them if the operation needs our session. Answers that the route documents are kept."""
    security: list[dict[str, Any]] = operation.get("security", [])
    is_optional = {OPTIONAL_SCHEME: []} in security
    if is_optional:
        security.remove({OPTIONAL_SCHEME: []})
        security += [{SCHEME: []}, {}]
    if any(SCHEME in one for one in security):
        for status, answer in documented(*USER_ERRORS).items():
            operation["responses"].setdefault(str(status), answer)


def _name_one_scheme(schemes: dict[str, Any]) -> None:
    if optional := schemes.pop(OPTIONAL_SCHEME, None):
        schemes.setdefault(SCHEME, optional)


def _mounted(routes: list[BaseRoute]) -> Iterator[FastAPI]:
    for route in routes:
        if isinstance(route, Mount | Host):
            inner = _without_middleware(route.app)
            if isinstance(inner, FastAPI):
                yield from applications(inner)
            else:
                yield from _mounted(getattr(inner, "routes", []))
        elif router := getattr(route, "original_router", None):  # of FastAPI's private class
            yield from _mounted(router.routes)


def _without_middleware(app: Any) -> Any:
    """The application inside middleware, which by Starlette's convention is its `app`."""
    while not hasattr(app, "routes") and hasattr(app, "app"):
        app = app.app
    return app
