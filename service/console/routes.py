"""The console as one router. The permission that a group of routes needs is stated here."""

from fastapi import APIRouter, Depends

from service.console import (
    audit,
    deliveries,
    drift,
    overview,
    replay,
    sign_in,
    subscriptions,
    users,
)
from service.console.answers import AT
from service.console.visit import acting, reading

FOR_ANYBODY = (sign_in.router,)
FOR_OPERATORS = (drift.actions, replay.actions, subscriptions.actions, users.actions)
FOR_READERS = (
    overview.pages,
    deliveries.pages,
    users.pages,
    subscriptions.pages,
    drift.pages,
    replay.pages,
    audit.pages,  # last: it also answers every path that is unknown
)


def console_router() -> APIRouter:
    """For `include_router`. It answers 404 while the application has no console."""
    router = APIRouter(include_in_schema=False)
    for part in FOR_ANYBODY:
        router.include_router(part, prefix=AT)
    for part in FOR_OPERATORS:
        router.include_router(part, prefix=AT, dependencies=[Depends(acting)])
    for part in FOR_READERS:
        router.include_router(part, prefix=AT, dependencies=[Depends(reading)])
    return router
