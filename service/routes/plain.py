"""Routes whose endpoint takes the request and nothing else."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """Documented as any other, but nothing is injected: that would cost more than the store does.

    `dependencies` are for OpenAPI; the endpoint sees to them itself. Source: FastAPI, "Custom
    Request and APIRoute class". What it saves: docs/performance.md.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint
