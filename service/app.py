"""The application that `python -m service` serves, and functions to mount its parts into yours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.bootstrap import bootstrap
from service.bootstrap.settings import read_settings, read_settings_of_host
from service.bootstrap.tracing import traces_of
from service.changes import Changes
from service.edge.canonical_log import CanonicalLog
from service.errors import answer_everything, answer_sync_errors, internal_error
from service.extras import extra
from service.log import Lines, line_logger, log_writer, request_line
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.mounted import attach_to_all, document_problems
from service.routes import changes, health, me, webhooks
from service.routes.plain import PlainRoutes
from service.services import attach
from service.settings import Settings
from service.stand_in import stand_in_of

if TYPE_CHECKING:
    from service.traces import Traces


# FastAPI's telemetry would export addresses, queries and the texts of exceptions.
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}


class Application(FastAPI):
    """FastAPI with an ASGI application in front of all of its middleware."""

    def put_in_front(self, front: Callable[[ASGIApp], ASGIApp]) -> None:
        """Call `front(framework)` for every request, instead of the framework."""
        self._front = front(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._front(scope, receive, send)


def create_app(
    settings: Settings | None = None, lines: Lines | None = None, traces: "Traces | None" = None
) -> FastAPI:
    """The application with all its routes. Settings come from the environment unless given.

    Its log lines are written to `lines`, by default standard output, and spans to `traces`, by
    default where OpenTelemetry's variables say if `TRACES_SHARE` is set.
    """
    settings = settings or read_settings()
    lines = lines or log_writer(settings.log_format)
    log = line_logger(settings.log_level, settings.log_format, lines)
    metrics = Metrics()
    if isinstance(lines, LogWriter):
        metrics.watch_log(lines)
    traces = traces or traces_of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with bootstrap(settings, metrics, log, traces=traces) as services:
            attach(app, services)
            yield
        if traces is not None:
            await asyncio.to_thread(traces.close)
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
        telemetry=_NO_TELEMETRY,
    )
    parts = _parts(settings)
    for part in parts:
        app.include_router(part)
    if settings.has_console:
        mount_console(app)
    answer_everything(app)

    def front(framework: ASGIApp) -> ASGIApp:
        logged = CanonicalLog(
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
        )
        return _with_cors(traces.in_front(logged) if traces else logged, settings.cors_origins)

    app.put_in_front(front)
    return app


def _parts(settings: Settings) -> list[APIRouter]:
    parts = [webhooks.router, me.router, health.alive]
    if settings.changes_token is not None:
        parts.append(changes.router)
    if settings.metrics_port is None:
        parts.append(health.inside)
    return parts


def metrics_app(app: FastAPI | None = None) -> FastAPI:
    """An application with `/healthz`, `/readyz` and `/metrics`, for METRICS_PORT.

    They tell of `app`; without it, of the worker that is attached. Its requests are neither logged
    nor counted.
    """
    apart = FastAPI(
        title="clerk-user-sync: metrics",
        redirect_slashes=False,
        openapi_url=None,
        telemetry=_NO_TELEMETRY,
    )
    if app is not None:
        apart.state = app.state
    mount_health(apart)
    answer_everything(apart)
    return apart


def mount(app: FastAPI) -> None:
    """Add the webhook route and the handlers of our errors to your own application.

    The OpenAPI document of `app` then lists the answers to these errors.
    """
    app.include_router(webhooks.router)
    answer_sync_errors(app)
    document_problems(app)


def mount_health(app: FastAPI, prefix: str = "") -> None:
    """Add `/healthz`, `/readyz` and `/metrics` to your own application, under `prefix`."""
    app.include_router(health.alive, prefix=prefix)
    app.include_router(health.inside, prefix=prefix)


def mount_console(app: FastAPI) -> None:
    """Add the console to your own application, at `/console`. The settings say who may use it."""
    # Imported only if it is used: the import takes a tenth of a start.
    with extra("console", "The console"):
        from service.console.routes import console_router  # noqa: PLC0415

    app.include_router(console_router())


@asynccontextmanager
async def user_sync(
    app: FastAPI, settings: Settings | None = None, *, changes: Changes | None = None
) -> AsyncIterator[None]:
    """Enter this in your own lifespan: `CurrentUser` and the webhook work in `app` while it is
    open.

    They also work in applications that are mounted into `app` before it is entered. The handlers of
    `changes` run in this process, unless another one runs them already. Settings come from the
    environment unless given; one of a server or its log that is wrong for us, as the host's own
    `DOCS_URL` may be, is left out. A test's stand-in for Clerk replaces them.
    """
    stand_in = stand_in_of(app)
    left_out: list[str] = []
    if stand_in:
        settings = stand_in.settings
    elif settings is None:
        settings, left_out = read_settings_of_host()
    transport = stand_in.transport if stand_in else None
    lines, metrics = log_writer(settings.log_format), Metrics()
    metrics.watch_log(lines)
    log = line_logger(settings.log_level, settings.log_format, lines)
    if left_out:
        log.warning("settings_left_out", settings=left_out)
    try:
        async with bootstrap(
            settings, metrics, log, transport=transport, changes=changes
        ) as services:
            attach_to_all(app, services)
            yield
    finally:
        lines.close()


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let browsers on the origins of `CORS_ORIGINS` call `app` with a session token.

    This is the outermost layer, so that every answer has the CORS headers, errors too. Cookies are
    not allowed: a token is in the `Authorization` header, and the console is on its own origin.
    """
    if not origins:
        return app
    middleware = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET"],
        allow_headers=["Authorization", "X-Request-ID"],
        expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
        max_age=600,
    )
    # A preflight is answered here, before the layer that adds this header to other answers.
    middleware.preflight_headers["X-Content-Type-Options"] = "nosniff"
    return middleware
