"""`CurrentSession` verifies the session token; `CurrentUser` gives the user's local record."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from domain.errors import (
    IdentityProviderUnavailable,
    InvalidSession,
    SessionPending,
    SigningKeysUnavailable,
    StorageUnavailable,
    SyncError,
    Unstorable,
    UserBanned,
    UserDeleted,
    UserUnknown,
)
from domain.ports import Session
from domain.user import LocalUser
from service.log import note
from service.services import services_of

SESSION_ERRORS = (InvalidSession, SessionPending, SigningKeysUnavailable)
"""The errors that `clerk_session` raises."""

USER_ERRORS = (
    *SESSION_ERRORS,
    *(UserDeleted, UserUnknown, UserBanned),
    *(StorageUnavailable, IdentityProviderUnavailable, Unstorable),
)
"""The errors that `current_user` raises, with those of the session that it needs."""

SCHEME, OPTIONAL_SCHEME = "ClerkSession", "OptionalClerkSession"
"""The names of the security schemes in OpenAPI. `service.mounted` replaces the second by the
first.
"""


class ClerkSession(SecurityBase):
    """A Clerk session token in the `Authorization` header. Cookies are not read."""

    def __init__(self, scheme_name: str = SCHEME) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="A Clerk session token.")
        self.scheme_name = scheme_name

    async def __call__(self, request: Request) -> Session:
        """The verified session. Raises one of `SESSION_ERRORS`."""
        services = services_of(request.app)
        try:
            token = unverified_token(request.scope["headers"])
            session = await services.sessions.verify(token)
        except SyncError as error:
            services.metrics.session(type(error).__name__)
            raise
        services.metrics.session("proven")
        note(request.scope, user_id=session.user_id, actor=(session.actor or {}).get("sub"))
        return session


clerk_session = ClerkSession()

CurrentSession = Annotated[Session, Depends(clerk_session)]
"""The verified session. It needs no store, and of Clerk only its signing keys."""


async def current_user(request: Request, session: CurrentSession) -> LocalUser:
    """The session's user, synced just in time if there is no local record yet.

    Raises one of `USER_ERRORS`.
    """
    return await services_of(request.app).resolve_user(session.user_id)


CurrentUser = Annotated[LocalUser, Depends(current_user)]
"""The live local record of the session's user."""


class OptionalClerkSession(ClerkSession):
    """The session for routes that also accept visitors without a token."""

    def __init__(self) -> None:
        super().__init__(OPTIONAL_SCHEME)

    async def __call__(self, request: Request) -> Session | None:  # type: ignore[override]
        """None without an `Authorization` header. Raises one of `SESSION_ERRORS`."""
        if "authorization" not in request.headers:
            return None
        return await super().__call__(request)


async def optional_user(
    request: Request, session: Annotated[Session | None, Depends(OptionalClerkSession())]
) -> LocalUser | None:
    """The session's user, or None without an `Authorization` header.

    A token that is given must be valid. Raises one of `USER_ERRORS`.
    """
    return None if session is None else await current_user(request, session)


OptionalUser = Annotated[LocalUser | None, Depends(optional_user)]
"""The live local record of the session's user, or None without a token."""


def unverified_token(headers: list[tuple[bytes, bytes]]) -> str:
    """The bearer token (RFC 6750 §2.1), not verified. The scheme is not case-sensitive (RFC 9110
    §11.1). Raises `InvalidSession` unless there is exactly one.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        raise InvalidSession("not exactly one Authorization header")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise InvalidSession("not a bearer token")
    return token.decode("ascii").strip(" ")
