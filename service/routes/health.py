"""Whether the process lives, whether it should get traffic, and what it counted."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from domain.errors import StorageUnavailable
from service.services import services_of

router = APIRouter(tags=["health"])

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", summary="The process lives")
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Response:
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    responses={503: {"description": "It should not"}},
    summary="It should get traffic",
)
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """503 while draining, without store, schema or keys. Clerk being down only degrades."""
    report = await services_of(request.app).readiness.report()
    return JSONResponse(report.as_document(), status_code=200 if report.ready else 503)


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    services = services_of(request.app)
    try:
        async with asyncio.timeout(1):
            services.metrics.quarantine_size(await services.journal.quarantined())
            services.metrics.silent_users(await services.silent_users())
    except (StorageUnavailable, TimeoutError):
        pass  # the last known figures stand
    return Response(services.metrics.exposition(), media_type=PROMETHEUS)
