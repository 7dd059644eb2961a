"""Liveness (`/healthz`), readiness (`/readyz`) and metrics of this process."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from domain.errors import StorageUnavailable
from service.routes.plain import PlainRoute
from service.services import observed_of

alive = APIRouter(tags=["health"], route_class=PlainRoute)
"""The route for load balancers and containers' health checks, always on the public port."""

inside = APIRouter(tags=["health"], route_class=PlainRoute)
"""The routes for operators. With METRICS_PORT they are only on that port."""

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class ReadinessReport(BaseModel):
    """The checks that decide, and faults that do not make the service unready."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, bool]
    degraded: list[str]
    see: list[str]


_READING = ["GET", "HEAD"]
"""One route has both methods, so that `Allow` names both. OpenAPI lists only GET."""

_NOT_READY = {"model": ReadinessReport, "description": "Not ready for traffic"}


@alive.get("/healthz", responses={200: {"model": Health}}, summary="Whether the process is alive")
@alive.api_route("/healthz", methods=_READING, include_in_schema=False)
async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


@inside.get(
    "/readyz",
    responses={200: {"model": ReadinessReport}, 503: _NOT_READY},
    summary="Whether the service is ready for traffic",
)
@inside.api_route("/readyz", methods=_READING, include_in_schema=False)
async def readyz(request: Request) -> Response:
    """503 while draining, or without store, schema or keys. An outage of Clerk only degrades."""
    report = await observed_of(request.app).readiness.report()
    return JSONResponse(report.as_document(), status_code=200 if report.ready else 503)


@inside.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Prometheus metrics",
)
async def metrics(request: Request) -> Response:
    process = observed_of(request.app)
    try:
        async with asyncio.timeout(1):
            await process.figures()
    except (StorageUnavailable, TimeoutError):
        process.metrics.store_silent()
    return Response(process.metrics.exposition(), media_type=PROMETHEUS)


HEALTH_PATHS = frozenset(
    route.path for route in (*alive.routes, *inside.routes) if isinstance(route, PlainRoute)
)
"""These paths are answered even if other requests are refused for overload."""


def is_about_health(scope: Mapping[str, Any]) -> bool:
    """Whether the request is for one of these paths, in its only spelling."""
    path: bytes = scope["raw_path"].removeprefix(scope["root_path"].encode())
    return path.decode("ascii") in HEALTH_PATHS
