"""The interfaces that the domain needs and the adapters implement. Each method names its errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.sync_user import SyncResult, SyncUser, VerifiedDelivery
from domain.user import DeletedUser, LocalUser, User, UserId


class UserRepository(Protocol):
    """Our `users` table, and the journal entries that are written with it."""

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        """The local record, the tombstone, or None. Raises `StorageUnavailable`."""
        ...

    async def sync(self, command: SyncUser) -> SyncResult:
        """Take the greater and write its journal entry, atomically; committed when it returns.

        Raises `StorageUnavailable`, or `Unstorable` for content that would be refused again.
        """
        ...

    async def sync_and_get(
        self, command: SyncUser
    ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
        """The same, and the record as it is then. An adapter may need one statement for both."""
        return await self.sync(command), await self.get(command.change.clerk_id)

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        """Give a live row the least version there is, if its `clerk_updated_at` is `version`.

        Its contents stay, and from then on any observation is greater. Returns whether that is so,
        also for a row that has the least version already.
        Raises `StorageUnavailable`.
        """
        ...

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        """`sync` for many commands: a result for each, in order; None for an unstorable one.

        Each command is atomic, the whole is not. Raises `StorageUnavailable`; repeating is safe.
        """
        ...


class UserTable(Protocol):
    """Our `users` table read in bulk, to compare it with Clerk's users.

    Each method raises `StorageUnavailable`.
    """

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        """The local records and tombstones of those users."""
        ...

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Ids of live rows greater than `after`, in order."""
        ...


class Checkpoints(Protocol):
    """Values that are kept between runs, one for each name: cursors, times and results.

    Each method raises `StorageUnavailable`.
    """

    async def load(self, name: str) -> str | None:
        """The value last saved, or None."""
        ...

    async def save(self, name: str, value: str) -> None:
        """Save the value; committed when it returns."""
        ...

    async def save_first(self, name: str, value: str) -> str:
        """Save the value if there is none yet. Returns the one that is there then."""
        ...

    async def clear(self, name: str) -> None:
        """Delete the value, if there is one."""
        ...

    async def age(self, name: str) -> timedelta | None:
        """How long ago it was saved, by the store's clock."""
        ...


class Exclusive(Protocol):
    """Locks that allow one run at a time, among all processes that share the store."""

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        """Hold the lock while the block runs. Meanwhile other calls raise `AlreadyRunning(holder)`.

        Entering raises `AlreadyRunning` or `StorageUnavailable`. The lock ends with the block, the
        process or its connection, whichever ends first.
        """
        ...


class DeliveryReader(Protocol):
    """Translates deliveries that were verified when they arrived."""

    def read(self, body: bytes, *, svix_id: str, sent_at: datetime) -> VerifiedDelivery:
        """The delivery, translated, with the source `replay`. Raises nothing."""
        ...

    def deletion(self, user_id: UserId, occurred_at: datetime) -> bytes:
        """The body of a `user.deleted`, rebuilt from its journal entry."""
        ...


class WebhookEndpoint(Protocol):
    """The webhook route of another service."""

    async def post(self, svix_id: str, body: bytes) -> int:
        """Sign and post a delivery. Returns the status of the answer.

        Raises `EndpointUnavailable`, and `ValueError` for a body that is not text.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A user of Clerk's that cannot be kept. `reason` is our text, never text from the payload."""

    clerk_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """A page of Clerk's users, without those that cannot be kept.

    `read_at` is when it was read, on Clerk's clock. An update may be dated later. Where that time
    is not known, it is the last update on the page.
    """

    users: Sequence[User]
    left_out: Sequence[LeftOut] = ()
    read_at: datetime | None = None


class IdentityProvider(Protocol):
    """Clerk's users, read from its Backend API."""

    async def fetch(self, user_id: UserId) -> User | None:
        """The user, or None when Clerk has none by that id.

        Raises `IdentityProviderUnavailable`, also if the answer is not that user, and
        `UserUnreadable` if it is that user in a form that cannot be kept.
        """
        ...

    def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[UserPage]:
        """All users in creation order, a page at a time; if there is none, one empty page.

        Raises `IdentityProviderUnavailable`; `CursorRefused` if it cannot start after that user.
        """
        ...

    def newest_first(self) -> AsyncIterator[UserPage]:
        """All users, the last updated first. Raises `IdentityProviderUnavailable`.

        A user who is updated during the walk can be missed: the next walk shows them.
        """
        ...

    async def instance_ids(self) -> frozenset[str]:
        """The instances that our credentials may belong to: the ids of the keys Clerk signs with.

        Raises `IdentityProviderUnavailable`.
        """
        ...

    async def count(self) -> int:
        """How many users there are. Raises `IdentityProviderUnavailable`."""
        ...


class IdentityWriter(Protocol):
    """The one thing that is written to Clerk: our own id of a user."""

    async def write_our_id(self, user_id: UserId, our_id: str, key: str | None) -> bool:
        """Write it to `external_id` if Clerk has none, or under `key` of the public metadata.

        Returns False when Clerk has no such user. Raises `IdentityProviderUnavailable`, and for
        `external_id` also `UserUnreadable`.
        """
        ...


class IdentityProviderClock(Protocol):
    """Clerk's clock: the `updated_at` of a version is on it."""

    async def now(self) -> datetime | None:
        """Clerk's time, to the second; None if its answer has no `Date`.

        Raises `IdentityProviderUnavailable`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A verified Clerk session. `actor` is set if somebody impersonates the user."""

    user_id: UserId
    session_id: str
    authorized_party: str | None
    actor: Mapping[str, Any] | None
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Any]


SESSION_LEEWAY = timedelta(seconds=5)
"""How far this machine's clock and Clerk's may be apart when a session token is verified."""


class SessionVerifier(Protocol):
    """Verifies session tokens without asking Clerk about the user."""

    async def verify(self, unverified_token: str) -> Session:
        """The session of a valid token.

        Raises `InvalidSession`, `SessionPending` or `SigningKeysUnavailable`.
        """
        ...


class WebhookVerifier(Protocol):
    """Verifies deliveries and translates them."""

    def verify(
        self, unverified_headers: Sequence[tuple[bytes, bytes]], unverified_body: bytes
    ) -> VerifiedDelivery:
        """The delivery, if its signature is valid. Raises `InvalidSignature` for every cause."""
        ...
