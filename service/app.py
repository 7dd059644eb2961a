"""Our own application, and how to put its parts into another one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.bootstrap import bootstrap
from service.bootstrap.settings import read_settings
from service.cors import with_cors
from service.edge.canonical_log import CanonicalLog
from service.errors import answer_everything, answer_sync_errors, internal_error
from service.extras import extra
from service.log import Lines, line_logger, log_writer, request_line
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.mounted import document_problems, settle
from service.routes import health, me, webhooks
from service.routes.plain import PlainRoutes
from service.services import attach
from service.settings import Settings
from service.stand_in import stand_in_of


class Application(FastAPI):
    """FastAPI with an ASGI application of ours in front of all of its layers."""

    def put_in_front(self, front: Callable[[ASGIApp], ASGIApp]) -> None:
        """`front` wraps the framework, and is called instead of it."""
        self._front = front(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._front(scope, receive, send)


def create_app(settings: Settings | None = None, lines: Lines | None = None) -> FastAPI:
    """Our own application. Settings come from the environment unless given.

    Its log goes to `lines`, by default to standard output.
    """
    settings = settings or read_settings()
    lines = lines or log_writer(settings.log_format)
    log = line_logger(settings.log_level, settings.log_format, lines)
    metrics = Metrics()
    if isinstance(lines, LogWriter):
        metrics.watch_log(lines)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with bootstrap(settings, metrics, log) as services:
            attach(app, services)
            yield
        if isinstance(lines, LogWriter):
            lines.flush()

    app = Application(
        title="clerk-user-sync",
        summary="Keeps a users table in agreement with Clerk.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        # FastAPI's own would export addresses, queries and the words of exceptions as they are.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    parts = [webhooks.router, me.router, health.alive]
    if settings.metrics_port is None:
        parts.append(health.inside)
    for part in parts:
        app.include_router(part)
    if settings.has_console:
        mount_console(app)
    answer_everything(app)
    app.put_in_front(
        lambda framework: with_cors(
            CanonicalLog(
                PlainRoutes(
                    app,
                    framework,
                    routes=[route for part in parts for route in part.routes],
                    root_path=settings.root_path,
                ),
                internal_error=internal_error,
                observe=metrics.request,
                log=log,
                write_line=request_line(settings.log_level, settings.log_format, lines),
            ),
            settings.cors_origins,
        )
    )
    return app


def metrics_app(app: FastAPI) -> FastAPI:
    """`/healthz`, `/readyz` and `/metrics` of `app`, to be served on a port of their own.

    Neither scrapes nor probes are logged or counted there.
    """
    apart = FastAPI(
        title="clerk-user-sync: metrics",
        redirect_slashes=False,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    apart.state = app.state
    mount_health(apart)
    answer_everything(apart)
    return apart


def mount(app: FastAPI) -> None:
    """Put the webhook's route, and the answers to our errors, into your own application.

    Its OpenAPI document then has these answers too.
    """
    app.include_router(webhooks.router)
    answer_sync_errors(app)
    document_problems(app)


def mount_health(app: FastAPI, prefix: str = "") -> None:
    """Put `/healthz`, `/readyz` and `/metrics` into your own application, under `prefix`."""
    app.include_router(health.alive, prefix=prefix)
    app.include_router(health.inside, prefix=prefix)


def mount_console(app: FastAPI) -> None:
    """Put the console at `/console` of your own application. The settings say who may use it."""
    # Imported only where it is used: the import would take a tenth of every start.
    with extra("console", "The console"):
        from service.console.routes import console_router  # noqa: PLC0415

    app.include_router(console_router())


@asynccontextmanager
async def user_sync(app: FastAPI, settings: Settings | None = None) -> AsyncIterator[None]:
    """Enter this in your own lifespan, so that `CurrentUser` and the webhook work in `app`.

    They work in the applications that are mounted into `app` by then, too. Settings come from the
    environment unless given. What tests let stand in for Clerk goes before both.
    """
    stand_in = stand_in_of(app)
    settings = stand_in.settings if stand_in else settings or read_settings()
    transport = stand_in.transport if stand_in else None
    lines, metrics = log_writer(settings.log_format), Metrics()
    metrics.watch_log(lines)
    log = line_logger(settings.log_level, settings.log_format, lines)
    try:
        async with bootstrap(settings, metrics, log, transport) as services:
            settle(app, services)
            yield
    finally:
        lines.close()
