"""What a caller with a session token may read: their own record, and their session."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel

from service.auth import CurrentSession, CurrentUser
from service.routes.plain import SessionRoute

router = APIRouter(prefix="/v1", tags=["users"], route_class=SessionRoute)

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
    """The caller's session. `actor` names the person that impersonates the user, if any."""

    user_id: str
    session_id: str
    authorized_party: str | None
    actor: dict[str, Any] | None
    issued_at: datetime
    expires_at: datetime


_ME = tuple(Me.model_fields)
_SESSION = tuple(CallersSession.model_fields)


@router.get("/me", responses={200: {"model": Me}}, summary="The caller's local record")
async def me(user: CurrentUser) -> Response:
    return _json({name: getattr(user, name) for name in _ME})


@router.get(
    "/session",
    responses={200: {"model": CallersSession}},
    summary="The caller's session alone",
)
async def session(session: CurrentSession) -> Response:
    return _json({name: getattr(session, name) for name in _SESSION})


def _json(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document, default=_plain), headers=NO_STORE, media_type="application/json"
    )


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
