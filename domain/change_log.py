"""The ports for changes: a log that is read by position, and the subscriptions to it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.changes import Change
from domain.errors import FellBehind
from domain.subscriptions import AsideState, SetAside, Subscription, SubscriptionStanding
from domain.user import UserId


class NotKept(ValueError):
    """A position that is not in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnds:
    """The positions of the oldest change and of the newest one; 0 without changes.

    All between them are kept. Older ones, which are set aside, do not count: they have gaps.
    """

    oldest: int
    newest: int

    def place(self, to: str) -> int:
        """The position after which a subscription continues: `to` is `oldest`, `now` or a number.

        Raises `ValueError`, with a text for the operator.
        """
        before_all = max(self.oldest - 1, 0)
        if to in ("oldest", "now"):
            return before_all if to == "oldest" else self.newest
        if not (to.isascii() and to.isdigit() and len(to) < 19):
            raise ValueError(f"{to!r} is not a position: give oldest, now or a number")
        position = int(to)
        if not before_all <= position <= self.newest:
            raise NotKept(f"changes {self.oldest} to {self.newest} are kept, and not {position}")
        return position


class ChangeLog(Protocol):
    """Every change of every user, by position. A late commit never gets an earlier position.

    Positions begin at 1 and have no gap. Those of one user are in the order of the changes.
    """

    async def number(self) -> int:
        """Give a position to every visible change that has none. Returns the newest position.

        Raises `StorageUnavailable`.
        """
        ...

    async def after(self, position: int, limit: int) -> Sequence[Change]:
        """Up to `limit` changes after `position`, without a gap.

        Raises `FellBehind` if some of them are no longer kept, and `StorageUnavailable`.
        """
        ...

    async def history(self, user_id: UserId, newest: int | None = None) -> Sequence[Change]:
        """The changes of one user, oldest first: every one, or so many of the newest.

        Raises `StorageUnavailable`.
        """
        ...

    async def ends(self) -> LogEnds:
        """The oldest and the newest position. Raises `StorageUnavailable`."""
        ...

    async def expire(self, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` of the oldest changes, by the store's clock. Returns how many.

        The newest change is kept, so that positions continue, and so are changes that a
        subscription has set aside. Raises `StorageUnavailable`.
        """
        ...

    async def expired(self, older_than: timedelta) -> int:
        """How many changes are of that age, but for those that stay. Raises as above."""
        ...


def without_gap(after: int, changes: Sequence[Change]) -> Sequence[Change]:
    """The same changes, read after position `after`. Raises `FellBehind` if some are missing."""
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
    """Changes that are set aside and due, and the number of all that wait for another try.

    A change is None if it is no longer in the log.
    """

    changes: Sequence[tuple[SetAside, Change | None]]
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a subscription did since it was last saved.

    Every change up to `position` is delivered or set aside, and every change up to `read` is read.
    Those in `aside` failed or take long, those in `resolved` were set aside and are now delivered,
    and those in `given_up` are not to be delivered.
    """

    position: int
    read: int
    aside: Sequence[SetAside] = ()
    resolved: Sequence[SetAside] = ()
    given_up: Sequence[SetAside] = ()

    @property
    def has_aside(self) -> bool:
        """Whether there is more to save than the position."""
        return bool(self.aside or self.resolved or self.given_up)


class SubscriptionStore(Protocol):
    """The subscriptions, as the process that delivers needs them. All raise `StorageUnavailable`.

    Times are by the store's clock.
    """

    async def declare(self, subscription: Subscription) -> None:
        """Store the subscription, with the changes it wants. An existing one keeps its position; a
        new one begins after the newest visible change, or before the oldest one.
        """
        ...

    async def take(self, name: str, holder: str, seconds: float) -> int | None:
        """Hold the subscription for `seconds`. Returns its position; None if another holds it, or
        if it is paused.
        """
        ...

    async def read(self, name: str, after: int, limit: int) -> Page:
        """The changes after that position. Also raises `FellBehind`, and does so too if the
        position is ahead of the log.
        """
        ...

    async def due(self, name: str, in_hand: Sequence[UserId], limit: int) -> Due:
        """The changes that are due, the longest due first, without those of the users in hand."""
        ...

    async def save(self, name: str, holder: str, progress: Progress, seconds: float) -> bool:
        """Save the progress, and hold the subscription for another `seconds`.

        Returns False, and saves nothing, if another process holds the subscription now, or if some
        of what was read is no longer in the log.

        When a change is resolved or given up, the user's next change up to `read` is set aside, due
        now.
        """
        ...

    async def note_attempts(self, name: str, holder: str, *, delivered: bool) -> float | None:
        """Note that attempts of the holder failed, or that one was `delivered`. Returns for how
        many seconds every attempt has failed; None if the last did not.
        """
        ...

    async def pause(self, name: str, holder: str, reason: str) -> bool:
        """Let no process take the subscription until it is resumed. False if another holds it."""
        ...

    async def release(self, name: str, holder: str) -> None:
        """Let another process take the subscription at once."""
        ...


class SubscriptionDesk(Protocol):
    """The subscriptions, for an operator. All methods raise `StorageUnavailable`."""

    async def standings(self) -> Sequence[SubscriptionStanding]:
        """Every subscription, by name."""
        ...

    async def set_aside(self, name: str, limit: int) -> Sequence[SetAside]:
        """The changes that it has set aside, by position; those given up are the last."""
        ...

    async def aside_of(self, user_id: UserId, since: int = 0) -> Mapping[str, Sequence[SetAside]]:
        """The changes of one user that each subscription has set aside, by position.

        What a rewind has passed over, from the position `since` on, is among them as given up.
        """
        ...

    async def chosen(
        self, name: str, states: AbstractSet[AsideState], position: int | None = None
    ) -> int:
        """How many changes an action would take: the one at `position`, unless it is given up, or
        all in these states.
        """
        ...

    async def retry(self, name: str, position: int | None = None) -> int:
        """Start the tries of one change again, or of all in `RETRIED`. Returns how many."""
        ...

    async def skip(self, name: str, position: int | None = None) -> int:
        """Give up one change, or all in `SKIPPED`. Returns how many."""
        ...

    async def rewind(self, name: str, position: int) -> bool:
        """Continue after that position, earlier or later, even while a process runs it. False if
        there is no such subscription. Changes set aside after the position are dropped from there,
        since they are read again. Changes that are passed over are given up.
        """
        ...

    async def resume(self, name: str) -> bool:
        """Let a paused subscription continue from its position. False if none of that name is
        paused.
        """
        ...

    async def remove(self, name: str) -> bool:
        """Delete the subscription and what it has set aside. False if there is none."""
        ...
