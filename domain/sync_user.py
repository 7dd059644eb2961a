"""The one use case. Webhook, request, backfill, replay and reconcile all end here."""

from collections.abc import Sequence

from domain.observation import SyncResult, SyncUser
from domain.ports import UserRepository

__all__ = ["SyncResult", "SyncUser", "SyncUserHandler", "word_for"]


def word_for(result: SyncResult | None) -> str:
    """What became of one command of a page: its outcome, or `failed`."""
    return result.outcome if result else "failed"


class SyncUserHandler:
    """Takes the greater of what is stored and what was observed. Safe to repeat, in any order."""

    def __init__(self, users: UserRepository) -> None:
        self._users = users

    async def __call__(self, command: SyncUser) -> SyncResult:
        """Raises `StorageUnavailable`; then nothing was acknowledged and repeating is safe."""
        return await self._users.sync(command)

    async def many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        """A page at once, results in the same order, None for what the store refuses.

        Raises `StorageUnavailable`; repeating is safe.
        """
        return await self._users.sync_many(commands)
