"""All of the console as one router. Which permission is needed is said here, for whole groups.

A POST among the actions also takes nothing but a form of ours: `Posted`, in each signature.
"""

from fastapi import APIRouter, Depends

from service.console.actions import drift as drift_actions
from service.console.actions import replay, sync_now
from service.console.answers import AT
from service.console.pages import (
    audit,
    deliveries,
    drift,
    nowhere,
    overview,
    quarantine,
    sign_in,
    users,
)
from service.console.permission import acting, reading

FOR_ANYBODY = (sign_in.router,)
FOR_OPERATORS = (drift_actions.router, replay.router, sync_now.router)
FOR_READERS = (
    overview.router,
    deliveries.router,
    users.router,
    drift.router,
    quarantine.router,
    audit.router,
    nowhere.router,
)


def console_router() -> APIRouter:
    """For `include_router`. It answers 404 until `attach` gave it a room."""
    router = APIRouter(include_in_schema=False)
    for part in FOR_ANYBODY:
        router.include_router(part, prefix=AT)
    for part in FOR_OPERATORS:
        router.include_router(part, prefix=AT, dependencies=[Depends(acting)])
    for part in FOR_READERS:
        router.include_router(part, prefix=AT, dependencies=[Depends(reading)])
    return router
