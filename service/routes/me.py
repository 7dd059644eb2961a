"""Routes for a caller with a session token: their local record, and their session."""

from dataclasses import fields
from datetime import datetime
from typing import Any, get_type_hints

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, create_model

from domain.user import LocalUser
from service.auth import CurrentSession, CurrentUser
from service.json import plain_values
from service.routes.plain import SessionRoute

router = APIRouter(prefix="/v1", tags=["users"], route_class=SessionRoute)

NO_STORE = {"Cache-Control": "no-store"}

_BOOKKEEPING = {"observed_at", "created_at", "last_synced_at"}

_ME = tuple(field.name for field in fields(LocalUser) if field.name not in _BOOKKEEPING)
"""The fields of a local record that its user may read."""

_HINTS = get_type_hints(LocalUser)
_FIELDS: dict[str, Any] = {name: (_HINTS[name], ...) for name in _ME}

Me = create_model("Me", __doc__="The caller's local record.", **_FIELDS)


class CallersSession(BaseModel):
    """The caller's session. `actor` identifies the person who impersonates the user, if any."""

    user_id: str
    session_id: str
    authorized_party: str | None
    actor: dict[str, Any] | None
    issued_at: datetime
    expires_at: datetime


_SESSION = tuple(CallersSession.model_fields)


@router.get("/me", responses={200: {"model": Me}}, summary="The caller's local record")
async def me(user: CurrentUser) -> Response:
    return _json({name: getattr(user, name) for name in _ME})


@router.get(
    "/session",
    responses={200: {"model": CallersSession}},
    summary="The caller's session",
)
async def session(session: CurrentSession) -> Response:
    return _json({name: getattr(session, name) for name in _SESSION})


def _json(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document, default=plain_values),
        headers=NO_STORE,
        media_type="application/json",
    )
