"""What the domain asks of the world. Each method names its errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.journal import JournalEntry, JournalFilter
from domain.observation import SyncResult, SyncUser, UnreadableDelivery, VerifiedDelivery
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
        """The same for a page, results in the order of the commands; None for what is unstorable.

        Each command is atomic, the page is not. Raises `StorageUnavailable`; repeating is safe.
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
    """How far a long run has come, by the name of the run. What a cursor means is the run's own."""

    async def load(self, name: str) -> str | None:
        """The cursor last saved, or None. Raises `StorageUnavailable`."""
        ...

    async def save(self, name: str, cursor: str) -> None:
        """Keep it; committed when it returns. Raises `StorageUnavailable`."""
        ...

    async def clear(self, name: str) -> None:
        """Forget it, if there is one. Raises `StorageUnavailable`."""
        ...


class Exclusive(Protocol):
    """One run at a time, among all processes that share the store."""

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        """Hold the lock while the block runs; `holder` is what others are told.

        Entering raises `AlreadyRunning` or `StorageUnavailable`. The lock ends with its holder,
        however that ends.
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

    async def count(self, wanted: JournalFilter) -> int:
        """How many deliveries that would be. Raises `StorageUnavailable`."""
        ...

    def entries(self, wanted: JournalFilter) -> AsyncIterator[JournalEntry]:
        """The verified deliveries wanted, oldest first, read page by page.

        Raises `StorageUnavailable`.
        """
        ...

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        """Everything kept about one user, oldest first, without bodies.

        Raises `StorageUnavailable`.
        """
        ...


class JournalRetention(Protocol):
    """How long the journal remembers. Each method does a small batch and says how much it did."""

    async def expire_bodies(self, before: datetime, limit: int) -> int:
        """Erase bodies received before that time. Raises `StorageUnavailable`."""
        ...

    async def expire_entries(self, before: datetime, limit: int) -> int:
        """Remove whole entries received before that time. Raises `StorageUnavailable`."""
        ...

    async def expired(self, bodies_before: datetime, entries_before: datetime) -> tuple[int, int]:
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
        """Users signed up in the last day and created just in time, at least `after` ago, whose
        `user.created` never came. Raises `StorageUnavailable`.
        """
        ...

    async def last_delivery_at(self) -> datetime | None:
        """When Svix last delivered something. Raises `StorageUnavailable`."""
        ...


class DeliveryReader(Protocol):
    """Translates deliveries that were verified once."""

    def read(self, body: bytes, *, svix_id: str, sent_at: datetime) -> VerifiedDelivery:
        """What the delivery says, as an observation made by replay. Raises nothing."""
        ...

    def deletion(self, user_id: UserId, occurred_at: datetime) -> bytes:
        """The body of a deletion, from all that the journal keeps of one."""
        ...


class FrontDoor(Protocol):
    """Where some environment takes its webhooks."""

    async def post(self, svix_id: str, body: bytes) -> int:
        """Sign and post a delivery; the status of the answer.

        Raises `FrontDoorUnavailable`, and `ValueError` for a body that is not text.
        """
        ...


class IdentityProvider(Protocol):
    """Clerk's users, as Clerk tells them."""

    async def fetch(self, user_id: UserId) -> User | None:
        """The user, or None when Clerk has none by that id.

        Raises `IdentityProviderUnavailable`, also when the answer is not that user, and
        `UserUnreadable` when it is and cannot be kept.
        """
        ...

    def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[Sequence[User]]:
        """All users in creation order, a page at a time.

        Raises `IdentityProviderUnavailable`; `CursorRefused` when it cannot begin there.
        """
        ...

    def newest_first(self) -> AsyncIterator[Sequence[User]]:
        """All users, the last updated first. Raises `IdentityProviderUnavailable`.

        While users are deleted during the walk, others may slip through it.
        """
        ...

    async def instance_ids(self) -> frozenset[str]:
        """Which instance our credentials are of, by the ids of the keys it signs with.

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
    """A proven Clerk session. `actor` is who impersonates the user, if anyone does."""

    user_id: UserId
    session_id: str
    authorized_party: str | None
    actor: Mapping[str, Any] | None
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Any]


class SessionVerifier(Protocol):
    """Proves session tokens without asking Clerk about the user."""

    async def verify(self, unverified_token: str) -> Session:
        """Raises `InvalidSession`, `SessionPending` or `SigningKeysUnavailable`."""
        ...


class WebhookVerifier(Protocol):
    """Proves deliveries and says what they are."""

    def verify(
        self, unverified_headers: Sequence[tuple[bytes, bytes]], unverified_body: bytes
    ) -> VerifiedDelivery:
        """Raises `InvalidSignature`, for every cause alike."""
        ...
