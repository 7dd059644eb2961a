"""A route under `/v1` cannot be made without a session, and is an ordinary FastAPI route."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute

from domain.errors import InvalidSession
from domain.ports import Session
from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app, mount, user_sync
from service.auth import CurrentSession, CurrentUser, clerk_session, current_user
from service.errors import answer_sync_errors
from service.routes import changes, health, me, webhooks
from service.routes.plain import ChangesRoute, PlainRoute, SessionRoute
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.running import (
    UNAUTHORIZED,
    WEBHOOKS,
    Service,
    bearer,
    client_of,
    problem,
    settings_for,
    svix_headers,
)

OPERATIONS = [
    (method, route.path)
    for route in me.router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
]


async def nothing() -> Response:
    return Response()


async def a_request(request: Request) -> Response:
    return Response(request.url.path)


async def a_session_and_more(session: CurrentSession, request: Request) -> Response:
    return Response(f"{session.user_id} {request.url.path}")


async def a_bare_session(session: Session) -> Response:
    return Response(session.user_id)


FORGETFUL = [nothing, a_request, a_session_and_more, a_bare_session]


@pytest.mark.parametrize("endpoint", FORGETFUL)
def test_a_route_that_forgets_its_session_cannot_be_made(endpoint: Callable[..., Any]) -> None:
    router = APIRouter(route_class=SessionRoute)
    with pytest.raises(TypeError, match=f"{endpoint.__name__} must take exactly one parameter"):
        router.get("/forgetful")(endpoint)
    assert router.routes == []


@pytest.mark.parametrize("endpoint", [nothing, a_session_and_more, a_bare_session])
def test_a_plain_route_takes_one_thing(endpoint: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="Request or CurrentSession or CurrentUser"):
        PlainRoute("/plain", endpoint)


def test_every_route_under_v1_is_opened_by_a_token() -> None:
    assert {type(route) for route in me.router.routes} == {SessionRoute}
    assert {type(route) for route in changes.router.routes} == {ChangesRoute}
    others = [*webhooks.router.routes, *health.alive.routes, *health.inside.routes]
    assert not [one for one in others if getattr(one, "path", "").startswith("/v1")]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_no_route_under_v1_answers_without_a_token(
    service: Service, method: str, path: str
) -> None:
    answer = await service.http.request(method, path)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


@asynccontextmanager
async def house(clerk: ClerkEmulator, url: str) -> AsyncIterator[Service]:
    """A host's application with all our routes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings_for(clerk, url)):
            yield

    app = FastAPI(lifespan=lifespan)
    mount(app)
    app.include_router(me.router, prefix="/sync")
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, clerk.config.webhook_secrets[0])


@pytest.fixture
async def mounted(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with house(clerk, store_url) as service:
        yield service


@pytest.fixture
async def ours(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    app = create_app(settings_for(clerk, store_url))
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, clerk.config.webhook_secrets[0])


async def test_mounted_it_serves_and_refuses_as_at_home(
    mounted: Service, clerk: ClerkEmulator
) -> None:
    await mounted.deliver(webhook_bytes("user.created"))
    headers = bearer(clerk.session_token(ADA))
    assert (await mounted.http.get("/sync/v1/me", headers=headers)).json()["clerk_id"] == ADA
    assert (await mounted.http.get("/sync/v1/session", headers=headers)).json()["user_id"] == ADA
    for path in ("/sync/v1/me", "/sync/v1/session"):
        answer = await mounted.http.get(path)
        assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


async def refuse() -> None:
    raise InvalidSession("refused by an override")


@pytest.mark.parametrize("prefix", ["/sync", ""], ids=["mounted", "at home"])
async def test_dependency_overrides_apply(
    prefix: str, mounted: Service, ours: Service, clerk: ClerkEmulator
) -> None:
    service = mounted if prefix else ours
    await service.deliver(webhook_bytes("user.created"))
    ada = bearer(clerk.session_token(ADA))
    session = (await service.http.get(f"{prefix}/v1/session", headers=ada)).json()
    seen: list[Session] = []

    async def another_session(request: Request) -> Session:
        seen.append(replace(await clerk_session(request), session_id="sess_of_the_host"))
        return seen[-1]

    service.app.dependency_overrides[clerk_session] = another_session
    overridden = (await service.http.get(f"{prefix}/v1/session", headers=ada)).json()
    assert overridden == {**session, "session_id": "sess_of_the_host"}
    service.app.dependency_overrides = {current_user: refuse}
    answer = await service.http.get(f"{prefix}/v1/me", headers=ada)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    service.app.dependency_overrides.clear()
    assert (await service.http.get(f"{prefix}/v1/me", headers=ada)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/me", WEBHOOKS, "/healthz"])
async def test_middleware_added_to_our_own_application_applies(
    clerk: ClerkEmulator, path: str
) -> None:
    app = create_app(settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere"))

    @app.middleware("http")
    async def closed(_: Request, __: Any) -> Response:
        return Response("closed", 423)

    async with client_of(app) as http:
        assert (await http.get(path)).status_code == 423


@pytest.mark.parametrize("path", ["/sync/v1/me", "/sync/v1/session", WEBHOOKS])
async def test_middleware_of_a_host_applies(path: str, clerk: ClerkEmulator) -> None:
    app = FastAPI()
    mount(app)
    app.include_router(me.router, prefix="/sync")

    @app.middleware("http")
    async def closed(_: Request, __: Any) -> Response:
        return Response("closed", 423)

    async with client_of(app) as http:
        body = webhook_bytes("user.created")
        headers = svix_headers(clerk.config.webhook_secrets[0], body)
        for method in ("GET", "POST"):
            answer = await http.request(method, path, content=body, headers=headers)
            assert answer.status_code == 423


async def test_dependencies_of_a_host_apply(clerk: ClerkEmulator) -> None:
    app = FastAPI()
    answer_sync_errors(app)
    for router in (me.router, webhooks.router):
        app.include_router(router, dependencies=[Depends(refuse)])
    async with client_of(app) as http:
        for method, path in (("GET", "/v1/me"), ("POST", WEBHOOKS)):
            answer = await http.request(method, path, headers=bearer(clerk.session_token(ADA)))
            assert answer.json() == problem(401, "session_invalid")


async def me_again(user: CurrentUser) -> Response:
    return Response(user.clerk_id)


async def session_again(session: CurrentSession) -> Response:
    return Response(session.user_id)


def documented_codes(endpoint: Callable[..., Any]) -> dict[str, list[str]]:
    """The problems in the OpenAPI document of an application with this endpoint alone."""
    app = FastAPI()
    app.router.routes.append(SessionRoute("/again", endpoint, methods=["GET"]))
    operation = app.openapi()["paths"]["/again"]["get"]
    assert operation["security"] == [{"ClerkSession": []}]
    return {
        status: answer["content"]["application/problem+json"]["schema"]["properties"]["code"][
            "enum"
        ]
        for status, answer in operation["responses"].items()
        if status != "200"
    }


def test_openapi_is_derived_from_what_the_endpoint_takes() -> None:
    session = {
        "401": ["session_invalid"],
        "403": ["session_pending"],
        "503": ["signing_keys_unavailable"],
    }
    user = {
        "401": ["session_invalid", "user_deleted", "user_unknown"],
        "403": ["session_pending", "user_banned"],
        "422": ["unstorable"],
        "503": [
            "signing_keys_unavailable",
            "storage_unavailable",
            "identity_provider_unavailable",
        ],
    }
    assert documented_codes(session_again) == session
    assert documented_codes(me_again) == user
