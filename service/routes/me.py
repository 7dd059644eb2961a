"""The request's way in: what the proven caller may see of themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from domain.errors import (
    IdentityProviderUnavailable,
    InvalidSession,
    SessionPending,
    SigningKeysUnavailable,
    StorageUnavailable,
    UserBanned,
    UserDeleted,
    UserUnknown,
)
from service.auth import clerk_session, current_user
from service.errors import ANSWERS, documented
from service.routes.plain import PlainRoute

router = APIRouter(
    prefix="/v1",
    tags=["users"],
    route_class=PlainRoute,
    dependencies=[Depends(clerk_session)],
)

NO_STORE = {"Cache-Control": "no-store"}


class Me(BaseModel):
    """The caller's local record."""

    id: UUID
    clerk_id: str
    email: str | None
    email_verified: bool
    phone_number: str | None
    username: str | None
    first_name: str | None
    last_name: str | None
    image_url: str | None
    external_id: str | None
    public_metadata: dict[str, Any]
    banned: bool
    clerk_created_at: datetime | None
    clerk_updated_at: datetime
    synced_by: str


class CallersSession(BaseModel):
    """The caller's session. `actor` is who impersonates the user, if anyone does."""

    user_id: str
    session_id: str
    authorized_party: str | None
    actor: dict[str, Any] | None
    issued_at: datetime
    expires_at: datetime


_NO_SESSION = [ANSWERS[error] for error in (InvalidSession, SessionPending, SigningKeysUnavailable)]
_NO_USER = [
    ANSWERS[error]
    for error in (
        UserDeleted,
        UserUnknown,
        UserBanned,
        StorageUnavailable,
        IdentityProviderUnavailable,
    )
]
_ME = tuple(Me.model_fields)
_SESSION = tuple(CallersSession.model_fields)


@router.get(
    "/me",
    responses={200: {"model": Me}, **documented(*_NO_SESSION, *_NO_USER)},
    summary="The caller's local record",
)
async def me(request: Request) -> Response:
    user = await current_user(request, await clerk_session(request))
    return _json({name: getattr(user, name) for name in _ME})


@router.get(
    "/session",
    responses={200: {"model": CallersSession}, **documented(*_NO_SESSION)},
    summary="The caller's session alone",
)
async def session(request: Request) -> Response:
    session = await clerk_session(request)
    return _json({name: getattr(session, name) for name in _SESSION})


def _json(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document, default=_plain), headers=NO_STORE, media_type="application/json"
    )


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
