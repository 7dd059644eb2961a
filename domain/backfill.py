"""All users of the Clerk instance into the table, page by page, from where the last run stopped.

The cursor is saved after its page is committed: whatever ends a run, no page is lost and at most
one is repeated. A page is older than what webhooks bring meanwhile, and the join knows it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from domain.drift import compare
from domain.errors import CursorRefused
from domain.instance import require_same_instance
from domain.observation import SyncUser
from domain.ports import Checkpoints, IdentityProvider, UserTable
from domain.read_ahead import read_ahead
from domain.sync_user import SyncUserHandler, word_for
from domain.user import DeletedUser, LocalUser, Outcome, Source, User, UserId, outcome_of

CHECKPOINT = "backfill"

Report = Callable[[Sequence[str]], None]
"""Takes what became of one page: an outcome, or `failed`, for each of its users."""


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """The use case. `instance_id` is the instance that the users must be of, where it is known."""

    identity_provider: IdentityProvider
    sync_user: SyncUserHandler
    user_table: UserTable
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def run(self, report: Report) -> None:
        """Write every page, and forget the cursor when all are done.

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
            # Its user was deleted since. Nothing is lost by beginning anew but some time.
            await self._write_pages(None, report)
        await self.checkpoints.clear(CHECKPOINT)

    async def preview(self, report: Report) -> None:
        """What `run` would do, from the first user on. Writes nothing; raises the same."""
        await self._require_same_instance()
        async with aclosing(read_ahead(self.identity_provider.pages())) as pages:
            async for page in pages:
                report(await self._would_be(page))

    async def restart(self) -> None:
        """Let the next run begin with the first user. Raises `StorageUnavailable`."""
        await self.checkpoints.clear(CHECKPOINT)

    async def _require_same_instance(self) -> None:
        await require_same_instance(self.identity_provider, self.user_table, self.instance_id)

    async def _write_pages(self, cursor: UserId | None, report: Report) -> None:
        source = self.identity_provider.pages(starting_after=cursor)
        async with aclosing(read_ahead(source)) as pages:
            async for page in pages:
                outcomes = await self._write(page)
                await self.checkpoints.save(CHECKPOINT, page[-1].clerk_id)
                report(outcomes)

    async def _write(self, page: Sequence[User]) -> list[str]:
        """Only what is not here yet: the same once more would cost every row a new version."""
        stored = await self._stored(page)
        differing = [user for user in page if compare(stored.get(user.clerk_id), user)]
        written = dict(zip(_ids(differing), await self._sync(differing), strict=True))
        return [written.get(user.clerk_id, Outcome.UNCHANGED) for user in page]

    async def _sync(self, users: Sequence[User]) -> list[str]:
        commands = [SyncUser(change=user, source=Source.BACKFILL) for user in users]
        return [word_for(result) for result in await self.sync_user.many(commands)]

    async def _would_be(self, page: Sequence[User]) -> list[str]:
        stored = await self._stored(page)
        return [outcome_of(stored.get(user.clerk_id), user) for user in page]

    async def _stored(self, page: Sequence[User]) -> Mapping[UserId, LocalUser | DeletedUser]:
        return await self.user_table.get_many(_ids(page))


def _ids(users: Sequence[User]) -> list[UserId]:
    return [user.clerk_id for user in users]
