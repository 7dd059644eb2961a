"""All users of the Clerk instance into the table, page by page, from where the last run stopped.

The cursor is saved after its page is committed: however a run ends, no page is lost and at most one
is repeated. A page may be older than what webhooks bring meanwhile; the join sees to that.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from domain.drift import differing_fields
from domain.errors import CursorRefused
from domain.instance import require_same_instance
from domain.ports import Checkpoints, IdentityProvider, LeftOut, UserRepository, UserTable
from domain.read_ahead import read_ahead
from domain.sync_user import SyncUser, word_for
from domain.user import (
    ACTIVITY_FIELDS,
    DeletedUser,
    LocalUser,
    Outcome,
    Source,
    User,
    UserId,
    outcome_of,
)

CHECKPOINT = "backfill"

Report = Callable[[Sequence[str], Sequence[LeftOut]], None]
"""Called after each page: an outcome or `failed` for each of its users, and the users left out."""


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """The use case. `instance_id` is the instance that the users must be of, where it is known."""

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def run(self, report: Report) -> None:
        """Write every page, and clear the cursor when all are done.

        Raises `IdentityProviderUnavailable`, `StorageUnavailable` or `WrongInstance`; running it
        again goes on from there.
        """
        await self._require_same_instance()
        cursor = await self.checkpoints.load(CHECKPOINT)
        try:
            await self._write_pages(UserId(cursor) if cursor else None, report)
        except CursorRefused:
            if cursor is None:
                raise
            # The cursor's user was deleted since. To begin anew costs time and loses nothing.
            await self._write_pages(None, report)
        await self.checkpoints.clear(CHECKPOINT)

    async def preview(self, report: Report) -> None:
        """What `run` would do, from the first user on. Writes nothing; raises the same."""
        await self._require_same_instance()
        async with aclosing(read_ahead(self.identity_provider.pages())) as pages:
            async for page in pages:
                stored = await self._stored(page.users)
                outcomes = [outcome_of(stored.get(user.clerk_id), user) for user in page.users]
                report(outcomes, page.left_out)

    async def restart(self) -> None:
        """Let the next run begin with the first user. Raises `StorageUnavailable`."""
        await self.checkpoints.clear(CHECKPOINT)

    async def _require_same_instance(self) -> None:
        await require_same_instance(self.identity_provider, self.user_table, self.instance_id)

    async def _write_pages(self, cursor: UserId | None, report: Report) -> None:
        source = self.identity_provider.pages(starting_after=cursor)
        async with aclosing(read_ahead(source)) as pages:
            async for page in pages:
                outcomes = await self._write(page.users)
                if page.users:
                    await self.checkpoints.save(CHECKPOINT, page.users[-1].clerk_id)
                report(outcomes, page.left_out)

    async def _write(self, users: Sequence[User]) -> list[str]:
        """Only what differs is written: anything else would cost every row a new version."""
        stored = await self._stored(users)
        differing = [user for user in users if _differs(stored.get(user.clerk_id), user)]
        commands = [SyncUser(change=user, source=Source.BACKFILL) for user in differing]
        results = await self.users.sync_many(commands)
        ids = [user.clerk_id for user in differing]
        written = dict(zip(ids, map(word_for, results), strict=True))
        return [written.get(user.clerk_id, Outcome.UNCHANGED) for user in users]

    async def _stored(self, users: Sequence[User]) -> Mapping[UserId, LocalUser | DeletedUser]:
        return await self.user_table.get_many([user.clerk_id for user in users])


def _differs(stored: LocalUser | DeletedUser | None, user: User) -> bool:
    if not isinstance(stored, LocalUser):
        return True
    moved = any(getattr(stored, name) != getattr(user, name) for name in ACTIVITY_FIELDS)
    return moved or bool(differing_fields(stored, user))
