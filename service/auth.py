"""`CurrentSession` proves who is asking; `CurrentUser` makes sure we have them."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from domain.errors import SyncError
from domain.ports import Session
from domain.user import LocalUser
from service.bearer import unverified_token
from service.log import note
from service.services import Services, services_of


class ClerkSession(SecurityBase):
    """A Clerk session token in the `Authorization` header, and nowhere else."""

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="A Clerk session token.")
        self.scheme_name = "ClerkSession"

    async def __call__(self, request: Request) -> Session:
        """Raises `InvalidSession`, `SessionPending` or `SigningKeysUnavailable`."""
        services = services_of(request.app)
        session = await _proven(services, request.scope["headers"])
        note(request.scope, user_id=session.user_id, actor=(session.actor or {}).get("sub"))
        return session


clerk_session = ClerkSession()

CurrentSession = Annotated[Session, Depends(clerk_session)]
"""The proven session. No store, no Clerk."""


async def current_user(request: Request, session: CurrentSession) -> LocalUser:
    """The user behind the session, synced just in time if we have never seen them.

    Raises `UserDeleted`, `UserBanned`, `UserUnknown`, `StorageUnavailable` or
    `IdentityProviderUnavailable`.
    """
    return await services_of(request.app).resolve_user(session.user_id)


CurrentUser = Annotated[LocalUser, Depends(current_user)]
"""The live local record of whoever is asking."""


async def _proven(services: Services, unverified_headers: list[tuple[bytes, bytes]]) -> Session:
    try:
        session = await services.sessions.verify(unverified_token(unverified_headers))
    except SyncError as error:
        services.metrics.session(type(error).__name__)
        raise
    services.metrics.session("proven")
    return session
