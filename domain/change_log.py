"""What changes ask of the store: a log that is read by position, and the subscriptions to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.changes import Change
from domain.errors import FellBehind
from domain.subscriptions import SetAside, Subscription, SubscriptionStanding
from domain.user import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnds:
    """The positions of the oldest change that is kept and of the newest one; 0 and 0 at first."""

    oldest: int
    newest: int


class ChangeLog(Protocol):
    """Every change of every user, in an order that no late commit disturbs.

    Positions begin at 1 and have no gap. Those of one user are in the order of their changes.
    """

    async def number(self) -> int:
        """Give a position to every visible change that has none; the newest position.

        Raises `StorageUnavailable`.
        """
        ...

    async def after(self, position: int, limit: int) -> Sequence[Change]:
        """The changes that follow, up to `limit`, without a gap.

        Raises `FellBehind` if some of them are no longer kept, and `StorageUnavailable`.
        """
        ...

    async def history(self, user_id: UserId) -> Sequence[Change]:
        """Every change of one user, oldest first. Raises `StorageUnavailable`."""
        ...

    async def ends(self) -> LogEnds:
        """Raises `StorageUnavailable`."""
        ...

    async def expire(self, older_than: timedelta, limit: int) -> int:
        """Remove up to `limit` of the oldest changes, by the store's clock. How many.

        The newest one stays, so that positions go on, and so does what a subscription has set
        aside. Raises `StorageUnavailable`.
        """
        ...


def without_gap(after: int, changes: Sequence[Change]) -> Sequence[Change]:
    """The changes themselves, which were read after that position. Raises `FellBehind`."""
    if changes and changes[-1].position != after + len(changes):
        raise FellBehind(f"position {after}")
    return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Changes read by a subscription. The users in `held` have a change set aside already."""

    changes: Sequence[Change]
    held: frozenset[UserId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is set aside and due, with its change; and how many in all wait for another try."""

    changes: Sequence[tuple[SetAside, Change]]
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a subscription came since it was last saved.

    All up to `position` is delivered or set aside, all up to `read` is read. `aside` failed, or
    takes long. `resolved` was set aside and is delivered now; `given_up` is not to be delivered.
    """

    position: int
    read: int
    aside: Sequence[SetAside] = ()
    resolved: Sequence[SetAside] = ()
    given_up: Sequence[SetAside] = ()

    @property
    def has_aside(self) -> bool:
        """Whether anything is to be kept but the position."""
        return bool(self.aside or self.resolved or self.given_up)


class SubscriptionStore(Protocol):
    """The subscriptions, as the process that delivers needs them. All raise `StorageUnavailable`.

    Times are by the store's clock.
    """

    async def declare(self, subscription: Subscription) -> None:
        """Make it known, and keep what it wants for those who look. An existing one stays where it
        is; a new one begins behind the newest visible change, or before the oldest one.
        """
        ...

    async def take(self, name: str, holder: str, seconds: float) -> int | None:
        """Hold the subscription for so long. Its position; None while somebody else holds it."""
        ...

    async def read(self, name: str, after: int, limit: int) -> Page:
        """The changes after that position. Raises `FellBehind` too."""
        ...

    async def due(self, name: str, in_hand: Sequence[UserId], limit: int) -> Due:
        """What is due now, the longest due first, but for the users in hand."""
        ...

    async def save(self, name: str, holder: str, progress: Progress, seconds: float) -> bool:
        """Keep the progress and hold on for so long.

        False, and nothing kept, if somebody else holds the subscription now.

        What is resolved or given up makes way for the user's next change up to `read`, if there is
        one: that is set aside, due now.
        """
        ...

    async def release(self, name: str, holder: str) -> None:
        """Let another process take it at once."""
        ...


class SubscriptionDesk(Protocol):
    """The subscriptions, as an operator sees them. All raise `StorageUnavailable`."""

    async def standings(self) -> Sequence[SubscriptionStanding]:
        """Every subscription, by name."""
        ...

    async def set_aside(self, name: str, limit: int) -> Sequence[SetAside]:
        """What it has set aside, by position."""
        ...

    async def aside_of(self, user_id: UserId) -> Mapping[str, Sequence[SetAside]]:
        """What each subscription has set aside of one user, by position."""
        ...

    async def retry(self, name: str, position: int | None = None) -> int:
        """Try what is parked again from the first try: one change, or all. How many."""
        ...

    async def skip(self, name: str, position: int | None = None) -> int:
        """Give up one change that is set aside, or all that are parked. How many."""
        ...

    async def rewind(self, name: str, position: int) -> bool:
        """Go on after that position, back or ahead, whoever runs it now. False if there is no such
        subscription. What is set aside beyond the position is forgotten, since it is read again.
        """
        ...

    async def remove(self, name: str) -> bool:
        """Forget the subscription and what it has set aside. False if there is none."""
        ...
