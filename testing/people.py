"""Users for tests: in the store, or only as an argument of a route."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import uuid4

from anyio.from_thread import BlockingPortal
from fastapi import FastAPI

from domain.errors import InvalidSession
from domain.ports import Session
from domain.sync_user import FollowedDelivery
from domain.user import LocalUser, Source, UserId
from service.auth import clerk_session, current_user, optional_user
from service.mounted import applications
from service.services import Operations
from testing.clerk import EmulatedClerk

_Overrides: TypeAlias = dict[Callable[..., Any], Callable[..., Any]]


class SyncedUser:
    """Makes a user at Clerk and in the store, with a webhook.

    It needs neither the application nor an event loop: the store is reached from another thread.
    """

    def __init__(
        self, clerk: EmulatedClerk, operations: Operations, portal: BlockingPortal
    ) -> None:
        self._clerk = clerk
        self._operations = operations
        self._portal = portal

    def __call__(self, **params: Any) -> LocalUser:
        """`params` are those of Clerk's API: `email_address=["ada@example.com"]`, `first_name`, …

        Without an address the user gets one of their own.
        """
        person = self._clerk.sign_up(**params)
        return self._portal.call(self._sync, person["id"])

    async def _sync(self, clerk_id: UserId) -> LocalUser:
        [created] = self._clerk.deliveries(clerk_id)
        headers = [(name.encode(), value.encode()) for name, value in created.headers.items()]
        delivery = self._operations.clerk.webhooks.verify(headers, created.body)
        if not isinstance(delivery, FollowedDelivery):
            raise TypeError(f"the webhook cannot be followed: {delivery}")
        await self._operations.store.users.sync(delivery.command)
        user = await self._operations.store.users.get(clerk_id)
        if not isinstance(user, LocalUser):
            raise TypeError(f"the store has no record of the user: {user}")
        return user


def local_user(**fields: Any) -> LocalUser:
    """A user for unit tests. `fields` are those of `LocalUser`; they are in no store."""
    now, mark = datetime.now(UTC), uuid4().hex
    usual: dict[str, Any] = {
        "id": uuid4(),
        "clerk_id": UserId(f"user_{mark}"),
        "email": f"{mark[:12]}@example.com",
        "email_verified": True,
        "clerk_created_at": now,
        "clerk_updated_at": now,
        "observed_at": now,
        "created_at": now,
        "last_synced_at": now,
        "synced_by": Source.WEBHOOK,
    }
    return LocalUser(**usual | fields)


class OverrideCurrentUser:
    """Answers for `CurrentUser`, `OptionalUser` and `CurrentSession`: no store, no token, no Clerk.

    It uses FastAPI's `dependency_overrides`, in the applications mounted into `app` too.
    """

    def __init__(self) -> None:
        self._ended = ExitStack()

    def __call__(self, app: FastAPI, user: LocalUser | None) -> None:
        """Every request is by `user` from now on, or by a visitor without a token if None."""
        answers: _Overrides = {
            current_user: _answer(user) if user else _refuse,
            optional_user: _answer(user),
            clerk_session: _answer(_session_of(user)) if user else _refuse,
        }
        for one in applications(app):
            before = dict(one.dependency_overrides)
            one.dependency_overrides.update(answers)
            self._ended.callback(_take_back, one, answers, before)

    def close(self) -> None:
        """Give every application its own answers again."""
        self._ended.close()


def _answer(value: object) -> Callable[[], Awaitable[object]]:
    async def answer() -> object:
        return value

    return answer


async def _refuse() -> None:
    raise InvalidSession("not exactly one Authorization header")


def _take_back(app: FastAPI, answers: _Overrides, before: _Overrides) -> None:
    """Only answers that are still ours: others have come and gone meanwhile."""
    overrides = app.dependency_overrides
    for asked, answer in answers.items():
        if overrides.get(asked) is answer:
            del overrides[asked]
            if asked in before:
                overrides[asked] = before[asked]


def _session_of(user: LocalUser) -> Session:
    now = datetime.now(UTC)
    return Session(
        user_id=user.clerk_id,
        session_id=f"sess_{uuid4().hex}",
        authorized_party=None,
        actor=None,
        issued_at=now,
        expires_at=now + timedelta(minutes=1),
        claims={},
    )
