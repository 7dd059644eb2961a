"""Whether the process lives, whether it should get traffic, and its metrics."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from domain.drift import load_sweep
from domain.errors import StorageUnavailable
from service.routes.plain import PlainRoute
from service.services import Services, services_of

alive = APIRouter(tags=["health"], route_class=PlainRoute)
"""What a load balancer or a container's health check may ask on the public port."""

inside = APIRouter(tags=["health"], route_class=PlainRoute)
"""What is for those who run the service."""

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class ReadinessReport(BaseModel):
    """The checks that decide, and what is down without making the service unready."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, bool]
    degraded: list[str]


_READING = ["GET", "HEAD"]
"""One route has both methods, so that `Allow` names both. OpenAPI has the GET alone."""

_NOT_READY = {"model": ReadinessReport, "description": "It should not get traffic"}


@alive.get("/healthz", responses={200: {"model": Health}}, summary="The process lives")
@alive.api_route("/healthz", methods=_READING, include_in_schema=False)
async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


@inside.get(
    "/readyz",
    responses={200: {"model": ReadinessReport}, 503: _NOT_READY},
    summary="It should get traffic",
)
@inside.api_route("/readyz", methods=_READING, include_in_schema=False)
async def readyz(request: Request) -> Response:
    """503 while draining, without store, schema or keys. Clerk being down only degrades."""
    report = await services_of(request.app).readiness.report()
    return JSONResponse(report.as_document(), status_code=200 if report.ready else 503)


@inside.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Prometheus metrics",
)
async def metrics(request: Request) -> Response:
    services = services_of(request.app)
    try:
        async with asyncio.timeout(1):
            await _ask_the_store(services)
    except (StorageUnavailable, TimeoutError):
        services.metrics.store_silent()
    return Response(services.metrics.exposition(), media_type=PROMETHEUS)


async def _ask_the_store(services: Services) -> None:
    """What is the same for every replica, and outlives each."""
    store, metrics = services.store, services.metrics
    if sweep := await load_sweep(store.checkpoints):
        metrics.last_sweep(sweep)
    metrics.store_told(
        quarantined=await store.journal.quarantined(),
        silent_users=await store.watch.silent_users(services.silence_after),
        last_delivery_at=await store.watch.last_delivery_at(),
    )


HEALTH_PATHS = frozenset(
    route.path for route in (*alive.routes, *inside.routes) if isinstance(route, PlainRoute)
)
"""Answered whatever else is refused for want of room."""
