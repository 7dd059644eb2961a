"""The emulator's own API under `/emulator`: watch and disturb the webhooks, create a test user.

It takes JSON and needs no key, so it answers only requests to and from this machine's own names.
A web page elsewhere could otherwise use it through the developer's browser: directly, or under a
host name that resolves to this machine (DNS rebinding).
"""

from collections.abc import Callable
from ipaddress import ip_address
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.clerk_emulator.errors import OrjsonResponse
from scripts.clerk_emulator.instance import ClerkInstance
from scripts.clerk_emulator.plans import DeliveryPlan

Handler = Callable[[ClerkInstance, Request, bytes], Any]


class NextDeliveries(BaseModel):
    """The body of `POST /emulator/delivery`: one plan for each of the next messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    for_next: tuple[DeliveryPlan, ...]


def routes(clerk: ClerkInstance) -> list[Route]:
    return [
        _route(clerk, "GET", "/messages", _messages),
        _route(clerk, "POST", "/messages/{svix_id}/release", _release),
        _route(clerk, "POST", "/delivery", _plan),
        _route(clerk, "GET", "/calls", lambda clerk, _request, _body: clerk.calls.report()),
        _route(clerk, "POST", "/sign-up", _sign_up),
    ]


def _route(clerk: ClerkInstance, method: str, path: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> Response:
        if not _is_local(request):
            error = "the control API answers only requests to and from localhost"
            return OrjsonResponse({"error": error}, status_code=403)
        try:
            answer = handler(clerk, request, await request.body())
        except ValidationError as error:
            return OrjsonResponse({"error": str(error)}, status_code=422)
        except KeyError as error:
            return OrjsonResponse({"error": f"unknown message {error}"}, status_code=404)
        return OrjsonResponse(answer)

    return Route(f"/emulator{path}", endpoint, methods=[method])


def _is_local(request: Request) -> bool:
    """Whether `Host` and, if there is one, `Origin` name this machine. Any port is allowed."""
    origin = request.headers.get("origin")
    return _is_loopback(f"//{request.headers.get('host', '')}") and (
        origin is None or _is_loopback(origin)
    )


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _messages(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return [message.report() for message in clerk.sender.messages.values()]


def _release(clerk: ClerkInstance, request: Request, _body: bytes) -> Any:
    svix_id = request.path_params["svix_id"]
    clerk.sender.release(svix_id)
    return clerk.sender.messages[svix_id].report()


def _plan(clerk: ClerkInstance, _request: Request, body: bytes) -> Any:
    wanted = NextDeliveries.model_validate_json(body)
    clerk.sender.plans.for_next(*wanted.for_next)
    return wanted.model_dump()


def _sign_up(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    """Creates a user as `POST /v1/users` does, so a signed webhook follows."""
    address = f"test.{token_hex(4)}@example.com"
    user = clerk.create_user(email_address=[address], first_name="Test", last_name="User")
    return {"user_id": user["id"], "email_address": address}
