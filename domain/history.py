"""Whether the store went back: restored from a backup, or replaced by a standby that was behind.

Then users deleted since the backup are live again, and users created since are missing. No webhook
reports them a second time. Only a full reconcile finds them all.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLook:
    """`reason` says why the store is not the one that was marked; None if it is."""

    is_marked: bool
    reason: str | None


class StoreHistory(Protocol):
    """A mark in the store that tells a restored backup from the store as it was."""

    async def look(self) -> HistoryLook:
        """Compare the store with its mark. Raises `StorageUnavailable`."""
        ...

    async def mark(self) -> None:
        """Mark the store as it is. Raises `StorageUnavailable`."""
        ...

    async def note(self, reason: str) -> None:
        """Keep in the store that it went back, and mark it again. Raises `StorageUnavailable`."""
        ...

    async def unrepaired(self) -> str | None:
        """What was noted, unless a full repair has ended since. Raises `StorageUnavailable`."""
        ...


async def notice(history: StoreHistory) -> str | None:
    """Mark the store, or say why it is not the one that was marked, and keep that in the store.

    Raises `StorageUnavailable`.
    """
    look = await history.look()
    if look.reason is not None:
        await history.note(look.reason)
    elif not look.is_marked:
        await history.mark()
    return look.reason
