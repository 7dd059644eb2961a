"""One user made right at once, because an operator asks for it."""

from dataclasses import dataclass

from domain.instance import require_same_instance
from domain.ports import IdentityProvider, UserRepository, UserTable
from domain.reconcile import clerks_now
from domain.sync_user import SyncUser
from domain.user import DeletedUser, LocalUser, Outcome, Source, User, UserId, outcome_of

NOBODY = "nobody"
"""Neither side has a live user by that id: there is nothing to do."""

CHANGED_MEANWHILE = "changed meanwhile"
"""The outcome would no longer be the confirmed one, so nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """What both sides say now, and what a sync would do."""

    user_id: UserId
    ours: LocalUser | DeletedUser | None
    clerks: User | None

    @property
    def expected(self) -> str:
        """An `Outcome`, or `NOBODY`."""
        if self.clerks is not None:
            return outcome_of(self.ours, self.clerks).value
        return Outcome.DELETED.value if isinstance(self.ours, LocalUser) else NOBODY


@dataclass(frozen=True, kw_only=True)
class SyncNow:
    """Fetch at Clerk, then `SyncUser`. Both methods raise `IdentityProviderUnavailable`
    (`UserUnreadable` for a user we cannot keep) or `StorageUnavailable`.
    """

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    instance_id: str | None = None

    async def plan(self, user_id: UserId) -> SyncPlan:
        """Reads only."""
        clerks = await self.identity_provider.fetch(user_id)
        ours = await self.users.get(user_id)
        return SyncPlan(user_id=user_id, ours=ours, clerks=clerks)

    async def __call__(self, user_id: UserId, confirmed: str) -> str:
        """Sync, if the outcome will be the `confirmed` one: a tombstone has no way back.

        Returns the outcome, `NOBODY` or `CHANGED_MEANWHILE`. Also raises `WrongInstance`, before
        it would take another instance's 404 for a deletion.
        """
        plan = await self.plan(user_id)
        if plan.expected != confirmed:
            return CHANGED_MEANWHILE
        if plan.clerks is not None:
            return await self._sync(plan.clerks)
        if plan.expected == NOBODY:
            return NOBODY
        await require_same_instance(self.identity_provider, self.user_table, self.instance_id)
        return await self._sync(DeletedUser(clerk_id=user_id, deleted_at=clerks_now()))

    async def _sync(self, change: User | DeletedUser) -> str:
        result = await self.users.sync(SyncUser(change=change, source=Source.RECONCILE))
        return result.outcome.value
