"""Our parts in a host's application: health, OpenAPI, sub-applications, visitors."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from scripts.clerk_emulator.server import AnsweringServer
from service.app import mount, mount_health, user_sync
from service.auth import CurrentSession, CurrentUser, OptionalUser
from service.settings import Settings
from service.stand_in import StandIn, put_in, stand_in_of, take_out
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.postgres_server import TemporaryStore
from tests.running import UNAUTHORIZED, Service, bearer, client_of, problem, settings_for


def host(settings: Settings) -> FastAPI:
    """An application with others in it: mounted, in a middleware, and in routers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings):
            yield

    app = FastAPI(lifespan=lifespan)
    mount(app)
    mount_health(app, prefix="/sync")
    app.mount("/sub", with_routes())
    app.mount("/zipped", GZipMiddleware(with_routes()))
    app.router.routes.append(Mount("/outer", Router([Mount("/inner", with_routes())])))
    app.include_router(with_routes().router)
    outer, inner = APIRouter(), APIRouter()
    inner.mount("/mounted", with_routes())
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/included")
    return app


def with_routes() -> FastAPI:
    app = FastAPI()

    @app.get("/profile")
    async def profile(user: CurrentUser) -> str | None:
        return user.email

    @app.get("/session")
    async def session(session: CurrentSession) -> str:
        return session.user_id

    @app.get("/front-page")
    async def front_page(user: OptionalUser) -> str | None:
        return user.email if user else "a visitor"

    @app.get("/public")
    async def public() -> str:
        return "everybody"

    return app


@pytest.fixture(scope="module")
async def running_host(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Service]:
    app = host(settings_for(shared_clerk, lasting_store.url))
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, shared_clerk.config.webhook_secrets[0])


@pytest.fixture
def service(running_host: Service, clerk: ClerkEmulator, store_url: str) -> Service:
    """The host's service, its users unknown."""
    return running_host


def serves_mounts_of_included_routers() -> bool:
    """An older FastAPI leaves them out."""
    app, router = FastAPI(), APIRouter()
    before = len(app.routes)
    router.mount("/mounted", FastAPI())
    app.include_router(router)
    return len(app.routes) > before


INCLUDED = ["/included/inner/mounted"] if serves_mounts_of_included_routers() else []
PLACES = ["", "/sub", "/zipped", "/outer/inner", *INCLUDED]


@pytest.mark.parametrize("place", PLACES)
async def test_a_user_is_found_in_a_mounted_application(
    service: Service, clerk: ClerkEmulator, place: str
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    headers = bearer(clerk.session_token(ADA))
    assert (await service.http.get(f"{place}/profile", headers=headers)).json() == "ada@example.com"
    assert (await service.http.get(f"{place}/session", headers=headers)).json() == ADA


@pytest.mark.parametrize("place", PLACES)
async def test_a_mounted_application_answers_as_ours(
    service: Service, clerk: ClerkEmulator, place: str
) -> None:
    answer = await service.http.get(f"{place}/profile")
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    await service.deliver(webhook_bytes("user.updated.banned"))
    banned = await service.http.get(f"{place}/profile", headers=bearer(clerk.session_token(ADA)))
    assert (banned.status_code, banned.json()) == (403, problem(403, "user_banned"))


async def test_a_visitor_is_none_and_a_bad_token_is_refused(
    service: Service, clerk: ClerkEmulator
) -> None:
    assert (await service.http.get("/front-page")).json() == "a visitor"
    bad = await service.http.get("/front-page", headers=bearer("nonsense"))
    assert (bad.status_code, bad.json()) == (401, UNAUTHORIZED)
    await service.deliver(webhook_bytes("user.created"))
    known = await service.http.get("/front-page", headers=bearer(clerk.session_token(ADA)))
    assert known.json() == "ada@example.com"


async def test_health_is_where_the_host_wants_it(service: Service) -> None:
    assert (await service.http.get("/sync/healthz")).json() == {"status": "ok"}
    assert (await service.http.get("/sync/readyz")).json()["checks"]["schema"] is True
    assert (
        "clerk_user_sync_webhook_deliveries_total" in (await service.http.get("/sync/metrics")).text
    )
    assert (await service.http.get("/readyz")).status_code == 404


@pytest.mark.parametrize("place", ["", "/sub", "/outer/inner"])
async def test_the_documents_have_the_answers_of_our_dependencies(
    service: Service, place: str
) -> None:
    for _ in range(2):
        document = (await service.http.get(f"{place}/openapi.json")).json()
        paths = document["paths"]
        for path in ("/profile", "/session", "/front-page"):
            answers = paths[path]["get"]["responses"]
            assert set(answers) == {"200", "401", "403", "422", "503"}
            assert "application/problem+json" in answers["401"]["content"]
        assert set(paths["/public"]["get"]["responses"]) == {"200"}
        assert paths["/profile"]["get"]["security"] == [{"ClerkSession": []}]
        assert paths["/front-page"]["get"]["security"] == [{"ClerkSession": []}, {}]
        assert set(document["components"]["securitySchemes"]) == {"ClerkSession"}


def a_function(app: ASGIApp) -> ASGIApp:
    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return around


@pytest.mark.parametrize("middleware", [GZipMiddleware, a_function])
async def test_without_mount_a_server_gets_our_answers_too(
    clerk: ClerkEmulator, store_url: str, middleware: Callable[[ASGIApp], ASGIApp]
) -> None:
    """A server runs the lifespan through the middleware, which is complete by then."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings_for(clerk, store_url)):
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(middleware)
    app.include_router(with_routes().router)
    async with served_by_uvicorn(app) as http:
        answer = await http.get("/profile")
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


@asynccontextmanager
async def served_by_uvicorn(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = AnsweringServer(uvicorn.Config(app, lifespan="on", log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve([listener]))
    await server.answering.wait()
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as http:
        yield http
    server.should_exit = True
    await serving


def test_the_documents_can_be_written_without_a_running_service(clerk: ClerkEmulator) -> None:
    app = host(settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere"))
    assert "503" in app.openapi()["paths"]["/profile"]["get"]["responses"]


async def test_a_stand_in_for_clerk_overrides_the_given_settings(
    signing_key: RSAPrivateKey, store_url: str
) -> None:
    """Nothing listens at the emulator's address."""
    config = EmulatorConfig(public_url="https://clerk.invalid", rate_limit=None)
    clerk = ClerkEmulator(config, signing_key=signing_key)
    given = settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere")
    app = host(given)
    put_in(app, StandIn(settings=settings_for(clerk, store_url), transport=clerk.transport))
    person = clerk.create_user(email_address=["ada@example.com"])
    async with app.router.lifespan_context(app), client_of(app) as http:
        headers = bearer(clerk.session_token(person["id"]))
        assert (await http.get("/profile", headers=headers)).json() == "ada@example.com"
    take_out(app)
    assert stand_in_of(app) is None
