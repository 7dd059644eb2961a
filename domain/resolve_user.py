"""The user of a request: the local record, or else the user fetched from Clerk and synced.

A user with a local record never causes a call to Clerk. For a user without one, all requests share
one fetch, and at most `max_fetches` users are fetched at once.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import (
    IdentityProviderUnavailable,
    UserBanned,
    UserDeleted,
    UserUnknown,
)
from domain.ports import IdentityProvider, UserRepository
from domain.single_flight import SingleFlight
from domain.sync_user import SyncUser
from domain.user import DeletedUser, LocalRecord, LocalUser, Source, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class JitLimits:
    """The limits of just-in-time sync. All times in seconds.

    An id that Clerk does not know is remembered for `unknown_for`, and at most `max_unknown` are.
    """

    deadline: float = 3.0
    max_fetches: int = 16
    unknown_for: float = 5.0
    max_unknown: int = 10_000


class ResolveUser:
    """The user of a verified session. `clock` counts seconds and never goes back.

    `report` is called with the result of each just-in-time sync, for metrics.
    """

    def __init__(
        self,
        users: UserRepository,
        identity_provider: IdentityProvider,
        limits: JitLimits = JitLimits(),
        report: Callable[[str], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._identity_provider = identity_provider
        self._limits = limits
        self._report = report
        self._flights: SingleFlight[UserId, LocalRecord | None] = SingleFlight()
        self._places = asyncio.Semaphore(limits.max_fetches)
        self._unknown = UnknownUsers(limits.unknown_for, limits.max_unknown, clock)

    async def __call__(self, user_id: UserId) -> LocalUser:
        """The live local record, created if there is none.

        Raises `UserDeleted`, `UserBanned`, `UserUnknown`, `StorageUnavailable` or
        `IdentityProviderUnavailable`; the last only for users without a local record.
        """
        ended = self._flights.ended
        record = await self._users.get(user_id)
        return _served(record if record is not None else await self._just_in_time(user_id, ended))

    async def drain(self) -> None:
        """Wait for the fetches under way."""
        await self._flights.drain()

    async def _just_in_time(self, user_id: UserId, ended: int) -> LocalRecord | None:
        if user_id in self._unknown:
            self._report("unknown_remembered")
            raise UserUnknown
        return await self._flights.run(user_id, lambda: self._within_deadline(user_id, ended))

    async def _within_deadline(self, user_id: UserId, ended: int) -> LocalRecord | None:
        try:
            async with asyncio.timeout(self._limits.deadline), self._places:
                return await self._fetch_and_sync(user_id, ended)
        except TimeoutError as error:
            self._report("deadline")
            raise IdentityProviderUnavailable("deadline passed") from error
        except IdentityProviderUnavailable:
            self._report("unavailable")
            raise

    async def _fetch_and_sync(self, user_id: UserId, ended: int) -> LocalRecord | None:
        # Another fetch of this user may have ended after the caller's lookup found no record.
        if self._flights.ended != ended and (record := await self._users.get(user_id)):
            return record
        user = await self._identity_provider.fetch(user_id)
        if user is None:
            return await self._absent_at_clerk(user_id)
        command = SyncUser(change=user, source=Source.JIT)
        result, record = await self._users.sync_and_get(command)
        self._report(result.outcome)
        return record

    async def _absent_at_clerk(self, user_id: UserId) -> LocalRecord | None:
        """A webhook may have arrived during the fetch: look up the record again before refusing."""
        record = await self._users.get(user_id)
        if record is not None:
            return record
        self._unknown.remember(user_id)
        self._report("unknown")
        raise UserUnknown


class UnknownUsers:
    """The ids that Clerk answered 404 for: at most `size`, each for `seconds`."""

    def __init__(
        self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._until: dict[UserId, float] = {}

    def __contains__(self, user_id: UserId) -> bool:
        return self._until.get(user_id, -math.inf) > self._clock()

    def remember(self, user_id: UserId) -> None:
        """Add the id; at `size` ids the oldest is dropped."""
        self._until.pop(user_id, None)
        if len(self._until) >= self._size:
            del self._until[next(iter(self._until))]
        self._until[user_id] = self._clock() + self._seconds


def _served(record: LocalRecord | None) -> LocalUser:
    if isinstance(record, DeletedUser):
        raise UserDeleted
    if record is None:
        raise IdentityProviderUnavailable("the record was not there after its sync")
    if record.banned:
        raise UserBanned
    return record
