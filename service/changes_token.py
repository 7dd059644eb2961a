"""The check of CHANGES_TOKEN, which a reader of the changes of all users needs."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from domain.errors import InvalidChangesToken, InvalidSession
from service.auth import unverified_token
from service.services import services_of


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request that bears CHANGES_TOKEN. FastAPI wants another type than `Request` for it."""

    request: Request


class ChangesToken(SecurityBase):
    """CHANGES_TOKEN in the `Authorization` header. These routes accept no session token."""

    def __init__(self) -> None:
        self.model = HTTPBearer(description="CHANGES_TOKEN.")
        self.scheme_name = "ChangesToken"

    async def __call__(self, request: Request) -> Authorized:
        """Raises `InvalidChangesToken`."""
        expected = services_of(request.app).changes_token
        try:
            given = unverified_token(request.scope["headers"])
        except InvalidSession as error:
            raise InvalidChangesToken(str(error)) from None
        if expected is None or not hmac.compare_digest(given.encode(), expected.encode()):
            raise InvalidChangesToken
        return Authorized(request)


changes_reader = ChangesToken()

ChangesReader = Annotated[Authorized, Depends(changes_reader)]
"""A request that bears CHANGES_TOKEN."""
