"""The routes of the console, as paths with something in their places."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from service.console.answers import AT
from service.console.routes import FOR_OPERATORS, FOR_READERS
from tests.adapters.clerk.payloads import ADA

NOWHERE = "nothing/like/that"


def routes_of(*routers: APIRouter) -> list[APIRoute]:
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def path_of(route: APIRoute) -> str:
    """With something in its places."""
    path = f"{AT}{route.path}".replace("{user_id}", ADA).replace("{entry_id}", "1")
    path = path.replace("/subscriptions/{name}", "/subscriptions/mail")
    return path.replace("{name}", "console.css").replace("{path:path}", NOWHERE)


READABLE = sorted({path_of(route) for route in routes_of(*FOR_READERS)})
ACTIONABLE = sorted({path_of(route) for route in routes_of(*FOR_OPERATORS)})
GUARDED = [*READABLE, *ACTIONABLE]
