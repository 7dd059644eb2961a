"""What changes ask of the store: a log that is read by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.changes import Change
from domain.errors import FellBehind
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
