"""Our own surface under `/emulator`: what to watch, and what to let go wrong. JSON, no key."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.clerk_emulator.config import Endpoint
from scripts.clerk_emulator.deliveries import DeliveryStatus
from scripts.clerk_emulator.faults import ApiFault
from scripts.clerk_emulator.instance import ClerkInstance
from scripts.clerk_emulator.json_response import OrjsonResponse
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan

Handler = Callable[[ClerkInstance, Request, bytes], Any]
Model = TypeVar("Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeliveryControl(_Body):
    """`POST /emulator/delivery`. Everything is optional; it is done in this order.

    `heal` ends all misfortune first. `for_next` plans the next messages one by one, `for_all`
    every other, `from_seed` draws plans from a seed. `replay` sends again what is `missing`,
    `failed` or `delivered`. `release` lets go of everything held.
    """

    heal: bool = False
    for_next: tuple[DeliveryPlan, ...] = ()
    for_all: DeliveryPlan | None = None
    from_seed: FaultPlan | None = None
    paused: bool | None = None
    replay: tuple[DeliveryStatus, ...] = ()
    release: bool = False


class NewEndpoint(_Body):
    """`POST /emulator/endpoints`: a new one, or a known one switched on or off."""

    url: str
    secrets: tuple[str, ...] = ()
    enabled: bool = True


class Example(_Body):
    """`POST /emulator/test-event`."""

    type: str = "user.created"


class Rotation(_Body):
    """`POST /emulator/keys/rotate`. The `kid` stays the same unless another is given."""

    kid: str | None = None


class Bulk(BaseModel):
    """The query of `POST /emulator/users/bulk`."""

    count: int = Field(ge=1, le=1_000_000)


def routes(clerk: ClerkInstance) -> list[Route]:
    return [_route(clerk, method, path, handler) for method, path, handler in _HANDLERS]


def _route(clerk: ClerkInstance, method: str, path: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            answer = handler(clerk, request, await request.body())
        except (ValidationError, ValueError) as error:
            return OrjsonResponse({"error": str(error)}, status_code=422)
        except KeyError:
            return OrjsonResponse({"error": "not found"}, status_code=404)
        return OrjsonResponse(answer)

    return Route(f"/emulator{path}", endpoint, methods=[method])


def _read(model: type[Model], body: bytes) -> Model:
    return model.model_validate_json(body or b"{}")


def _overview(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return {
        "url": clerk.url,
        "issuer": clerk.config.token_issuer,
        "jwks_url": clerk.config.jwks_url,
        "instance_id": clerk.config.instance_id,
        "users": len(clerk.users),
        "sessions": len(clerk.sessions),
        "messages": len(clerk.sender.messages),
        "paused": clerk.sender.paused,
    }


def _messages(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return [message.report() for message in clerk.sender.messages.values()]


def _forget_messages(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    clerk.sender.forget()
    return {"messages": len(clerk.sender.messages)}


def _resend(clerk: ClerkInstance, request: Request, _body: bytes) -> Any:
    svix_id = request.path_params["svix_id"]
    clerk.sender.resend(svix_id)
    return clerk.sender.messages[svix_id].report()


def _release(clerk: ClerkInstance, request: Request, _body: bytes) -> Any:
    svix_id = request.path_params["svix_id"]
    clerk.sender.release(svix_id)
    return clerk.sender.messages[svix_id].report()


def _deliver(clerk: ClerkInstance, _request: Request, body: bytes) -> Any:
    wanted, sender = _read(DeliveryControl, body), clerk.sender
    if wanted.heal:
        sender.heal()
    _plan(clerk, wanted)
    if wanted.paused is not None:
        sender.pause() if wanted.paused else sender.resume()
    replayed = sender.replay(*wanted.replay)
    if wanted.release:
        sender.release()
    return {"paused": sender.paused, "replayed": replayed}


def _plan(clerk: ClerkInstance, wanted: DeliveryControl) -> None:
    plans = clerk.sender.plans
    plans.for_next(*wanted.for_next)
    if wanted.for_all is not None:
        plans.for_all(wanted.for_all)
    if wanted.from_seed is not None:
        plans.from_seed(wanted.from_seed)


def _endpoints(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return [
        {"url": endpoint.url, "enabled": clerk.sender.enabled(endpoint.url)}
        for endpoint in clerk.sender.endpoints
    ]


def _add_endpoint(clerk: ClerkInstance, request: Request, body: bytes) -> Any:
    wanted, sender = _read(NewEndpoint, body), clerk.sender
    if wanted.url not in {endpoint.url for endpoint in sender.endpoints}:
        secrets = wanted.secrets or clerk.config.webhook_secrets
        sender.add_endpoint(Endpoint(url=wanted.url, secrets=secrets))
    sender.enable(wanted.url, enabled=wanted.enabled)
    return _endpoints(clerk, request, body)


def _faults(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return clerk.faults.report()


def _add_fault(clerk: ClerkInstance, _request: Request, body: bytes) -> Any:
    clerk.faults.add(_read(ApiFault, body))
    return clerk.faults.report()


def _clear_faults(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    clerk.faults.clear()
    return clerk.faults.report()


def _calls(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    return clerk.calls.report()


def _clear_calls(clerk: ClerkInstance, _request: Request, _body: bytes) -> Any:
    clerk.calls.clear()
    return clerk.calls.report()


def _rotate_keys(clerk: ClerkInstance, _request: Request, body: bytes) -> Any:
    clerk.keys.rotate(_read(Rotation, body).kid)
    return clerk.jwks()


def _create_users(clerk: ClerkInstance, request: Request, _body: bytes) -> Any:
    clerk.create_users(Bulk.model_validate(dict(request.query_params)).count)
    return {"users": len(clerk.users)}


def _send_example(clerk: ClerkInstance, _request: Request, body: bytes) -> Any:
    return clerk.send_example(_read(Example, body).type).report()


_HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "", _overview),
    ("GET", "/messages", _messages),
    ("DELETE", "/messages", _forget_messages),
    ("POST", "/messages/{svix_id}/resend", _resend),
    ("POST", "/messages/{svix_id}/release", _release),
    ("POST", "/delivery", _deliver),
    ("GET", "/endpoints", _endpoints),
    ("POST", "/endpoints", _add_endpoint),
    ("GET", "/faults", _faults),
    ("POST", "/faults", _add_fault),
    ("DELETE", "/faults", _clear_faults),
    ("GET", "/calls", _calls),
    ("DELETE", "/calls", _clear_calls),
    ("POST", "/keys/rotate", _rotate_keys),
    ("POST", "/users/bulk", _create_users),
    ("POST", "/test-event", _send_example),
)
