"""What the domain asks of the world. Each method names its errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.journal import EntryPage, JournalEntry, JournalQuery
from domain.sync_user import SyncResult, SyncUser, UnreadableDelivery, VerifiedDelivery
from domain.user import DeletedUser, LocalUser, User, UserId


class UserRepository(Protocol):
    """Our `users` table, and the journal entry that goes with every write to it."""

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        """The local record, the tombstone, or None. Raises `StorageUnavailable`."""
        ...

    async def sync(self, command: SyncUser) -> SyncResult:
        """Take the greater, atomically, with its journal entry; committed when it returns.

        Raises `StorageUnavailable`, or `Unstorable` for content no repetition will bring in.
        """
        ...

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        """The same for many, results in the order of the commands; None for what is unstorable.

        Each command is atomic, the whole is not. Raises `StorageUnavailable`; repeating is safe.
        """
        ...


class UserTable(Protocol):
    """Our `users` table read in bulk, to hold it against Clerk's users."""

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        """The local records and tombstones there are. Raises `StorageUnavailable`."""
        ...

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Ids of live rows greater than `after`, in order. Raises `StorageUnavailable`."""
        ...


class Checkpoints(Protocol):
    """How far a long run has come, by the name of the run. Only the run itself reads its cursor."""

    async def load(self, name: str) -> str | None:
        """The cursor last saved, or None. Raises `StorageUnavailable`."""
        ...

    async def save(self, name: str, cursor: str) -> None:
        """Keep it; committed when it returns. Raises `StorageUnavailable`."""
        ...

    async def clear(self, name: str) -> None:
        """Forget it, if there is one. Raises `StorageUnavailable`."""
        ...

    async def age(self, name: str) -> timedelta | None:
        """How long ago it was saved, by the store's clock. Raises `StorageUnavailable`."""
        ...


class Exclusive(Protocol):
    """One run at a time, among all processes that share the store."""

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        """Hold the lock while the block runs. Others who want it get `AlreadyRunning(holder)`.

        Entering raises `AlreadyRunning` or `StorageUnavailable`. The lock ends with the block, the
        process or its connection, whichever ends first.
        """
        ...


class Journal(Protocol):
    """What arrived and what it did."""

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        """Keep a delivery that could not be applied. Raises `StorageUnavailable`."""
        ...

    async def quarantined(self) -> int:
        """How many deliveries wait in quarantine. Raises `StorageUnavailable`."""
        ...

    async def count(self, query: JournalQuery) -> int:
        """How many verified deliveries `deliveries` would give. Raises `StorageUnavailable`."""
        ...

    def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        """The verified deliveries wanted, with their bodies, oldest first, read page by page.

        Raises `StorageUnavailable`.
        """
        ...

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        """Everything kept about one user, oldest first, without bodies.

        Raises `StorageUnavailable`.
        """
        ...


class JournalPages(Protocol):
    """The journal as the console reads it. Each method raises `StorageUnavailable`."""

    async def page(self, query: JournalQuery, before: int | None = None) -> EntryPage:
        """Entries with an id below `before`, the newest first; a bounded number is looked at."""
        ...

    async def entry(self, entry_id: int) -> JournalEntry | None:
        """One entry, with its body."""
        ...


class JournalRetention(Protocol):
    """How long the journal is kept. Ages are by the store's clock, never by this machine's."""

    async def expire_bodies(self, older_than: timedelta, limit: int) -> int:
        """Erase up to `limit` bodies of that age. How many; raises `StorageUnavailable`."""
        ...

    async def expire_entries(self, older_than: timedelta, limit: int) -> int:
        """Remove up to `limit` entries of that age. How many; raises `StorageUnavailable`."""
        ...

    async def expired(self, bodies: timedelta, entries: timedelta) -> tuple[int, int]:
        """How many bodies and how many entries are due. Raises `StorageUnavailable`."""
        ...

    async def erase_bodies(self, user_id: UserId) -> int:
        """Erase every body of one user now, however young. Raises `StorageUnavailable`."""
        ...

    async def bodies_of(self, user_id: UserId) -> int:
        """How many bodies of one user there are. Raises `StorageUnavailable`."""
        ...


class DeliveryWatch(Protocol):
    """Whether webhooks still arrive."""

    async def silent_users(self, after: timedelta) -> int:
        """How many users signed up within the last day, were created just in time at least `after`
        ago, and never had a `user.created`. Raises `StorageUnavailable`.
        """
        ...

    async def last_delivery_at(self) -> datetime | None:
        """When the last delivery came; None too if thousands of other observations followed it.

        Raises `StorageUnavailable`.
        """
        ...


class DeliveryReader(Protocol):
    """Translates deliveries that were verified when they arrived."""

    def read(self, body: bytes, *, svix_id: str, sent_at: datetime) -> VerifiedDelivery:
        """What the delivery says, as an observation by replay. Raises nothing."""
        ...

    def deletion(self, user_id: UserId, occurred_at: datetime) -> bytes:
        """The body of a deletion, made from what the journal keeps of it."""
        ...


class FrontDoor(Protocol):
    """The webhook endpoint of another service."""

    async def post(self, svix_id: str, body: bytes) -> int:
        """Sign and post a delivery. Returns the status of the answer.

        Raises `FrontDoorUnavailable`, and `ValueError` for a body that is not text.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A user of Clerk's that cannot be kept. `reason` is one of our own words."""

    clerk_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """A page of Clerk's users, without those that cannot be kept."""

    users: Sequence[User]
    left_out: Sequence[LeftOut] = ()


class IdentityProvider(Protocol):
    """Clerk's users, as Clerk tells them."""

    async def fetch(self, user_id: UserId) -> User | None:
        """The user, or None when Clerk has none by that id.

        Raises `IdentityProviderUnavailable`, also when the answer is not that user, and
        `UserUnreadable` when it is and cannot be kept.
        """
        ...

    def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[UserPage]:
        """All users in creation order, a page at a time.

        Raises `IdentityProviderUnavailable`; `CursorRefused` when it cannot begin there.
        """
        ...

    def newest_first(self) -> AsyncIterator[UserPage]:
        """All users, the last updated first. Raises `IdentityProviderUnavailable`.

        A user can be missed if another one is deleted during the walk.
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


class IdentityProviderClock(Protocol):
    """The clock that versions are counted on."""

    async def now(self) -> datetime | None:
        """Clerk's own time, to the second; None if it does not tell.

        Raises `IdentityProviderUnavailable`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A verified Clerk session. `actor` is set while somebody impersonates the user."""

    user_id: UserId
    session_id: str
    authorized_party: str | None
    actor: Mapping[str, Any] | None
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Any]


class SessionVerifier(Protocol):
    """Verifies session tokens without asking Clerk about the user."""

    async def verify(self, unverified_token: str) -> Session:
        """Raises `InvalidSession`, `SessionPending` or `SigningKeysUnavailable`."""
        ...


class WebhookVerifier(Protocol):
    """Verifies deliveries and translates them."""

    def verify(
        self, unverified_headers: Sequence[tuple[bytes, bytes]], unverified_body: bytes
    ) -> VerifiedDelivery:
        """Raises `InvalidSignature`, whatever the cause."""
        ...
