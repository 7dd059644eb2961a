"""Changes for readers who keep their own position, with the records as they are then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from domain.change_log import ChangeLog
from domain.changes import Change
from domain.errors import FellBehind
from domain.newest_position import NewestPosition
from domain.ports import UserTable
from domain.user import LocalUser


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWithUser:
    """A change and the user's record as it is now: None if the user has been deleted since."""

    change: Change
    user: LocalUser | None


class ChangeFeed:
    """The log of changes, read a page at a time."""

    def __init__(self, log: ChangeLog, users: UserTable, newest: NewestPosition) -> None:
        self._log = log
        self._users = users
        self._newest = newest

    async def begin(self, after: int | None) -> int:
        """The position to read from: the given one, or the one before the oldest change.

        Raises `FellBehind` for a position that is ahead of the log, as after the restore of a
        backup, and `StorageUnavailable`.
        """
        newest = await self._newest.look()
        if after is None:
            return max((await self._log.ends()).oldest - 1, 0)
        if after > newest:
            raise FellBehind(f"position {after} is ahead of the newest, {newest}")
        return after

    async def page(self, after: int, limit: int) -> Sequence[ChangeWithUser]:
        """The changes that follow. Raises `FellBehind` and `StorageUnavailable`."""
        changes = await self._log.after(after, limit)
        records = await self._users.get_many([*{change.clerk_id for change in changes}])
        told = []
        for change in changes:
            record = records.get(change.clerk_id)
            user = record if isinstance(record, LocalUser) else None
            told.append(ChangeWithUser(change=change, user=user))
        return told

    async def more(self, after: int, seconds: float) -> bool:
        """Wait up to `seconds` for a change after that position. Returns whether one came.

        Raises `FellBehind` if the log has lost that position.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._newest.beyond(after)
        except TimeoutError:
            if self._newest.has_lost(after):
                raise FellBehind(f"position {after} is ahead of the log") from None
            return False
        return True
