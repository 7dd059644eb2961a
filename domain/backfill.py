"""Backfill: copy all users of the Clerk instance into our table, page by page.

The cursor is saved after its page is committed: however a run ends, the next one misses no page and
repeats at most one. A page may be older than a webhook that arrived meanwhile; the join keeps the
newer state.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

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

BACKFILLED = "backfill.ended"
"""The checkpoint that holds when a backfill last came to its end, by the host's clock."""

Report = Callable[[Sequence[str], Sequence[LeftOut]], None]
"""Called after each page with an outcome or `failed` for each user, and the users left out."""


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """The use case. `instance_id`, if set, is the Clerk instance the users must belong to."""

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def run(self, report: Report) -> None:
        """Write every page that the last run did not, and clear the cursor at the end.

        Raises `IdentityProviderUnavailable`, `StorageUnavailable` or `WrongInstance`; the next run
        resumes after the last page committed.
        """
        await self._require_same_instance()
        cursor = await self.checkpoints.load(CHECKPOINT)
        try:
            await self._write_pages(UserId(cursor) if cursor else None, report)
        except CursorRefused:
            if cursor is None:
                raise
            # The user at the cursor has been deleted. Starting over costs time and loses nothing.
            await self._write_pages(None, report)
        await self.checkpoints.save(BACKFILLED, datetime.now(UTC).isoformat())
        await self.checkpoints.clear(CHECKPOINT)

    async def preview(self, report: Report) -> None:
        """Report what `run` would do, from the first user on. Writes nothing; raises the same."""
        await self._require_same_instance()
        async with aclosing(read_ahead(self.identity_provider.pages())) as pages:
            async for page in pages:
                stored = await self._stored(page.users)
                outcomes = [outcome_of(stored.get(user.clerk_id), user) for user in page.users]
                report(outcomes, page.left_out)

    async def restart(self) -> None:
        """Clear the cursor: the next run starts at the first user. Raises `StorageUnavailable`."""
        await self.checkpoints.clear(CHECKPOINT)

    async def _require_same_instance(self) -> None:
        await require_same_instance(
            self.identity_provider, self.user_table, self.checkpoints, self.instance_id
        )

    async def _write_pages(self, cursor: UserId | None, report: Report) -> None:
        source = self.identity_provider.pages(starting_after=cursor)
        async with aclosing(read_ahead(source)) as pages:
            async for page in pages:
                outcomes = await self._write(page.users)
                if page.users:
                    await self.checkpoints.save(CHECKPOINT, page.users[-1].clerk_id)
                report(outcomes, page.left_out)

    async def _write(self, users: Sequence[User]) -> list[str]:
        """Write the users that differ. Writing an equal one would only cost a new row version."""
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
    active = any(getattr(stored, name) != getattr(user, name) for name in ACTIVITY_FIELDS)
    return active or bool(differing_fields(stored, user))
