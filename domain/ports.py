"""What the domain asks of the world. Each method names its errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

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

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult]:
        """The same for a page, results in the order of the commands.

        Raises `StorageUnavailable` or `Unstorable`; repeating the page is safe.
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


class IdentityProvider(Protocol):
    """Clerk's users, as Clerk tells them."""

    async def fetch(self, user_id: UserId) -> User | None:
        """The user, or None when Clerk has none by that id.

        Raises `IdentityProviderUnavailable`, also when the answer is not that user.
        """
        ...

    def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[Sequence[User]]:
        """All users in creation order, a page at a time. Raises `IdentityProviderUnavailable`."""
        ...

    async def count(self) -> int:
        """How many users there are. Raises `IdentityProviderUnavailable`."""
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
