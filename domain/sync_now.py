"""Sync one user now, at an operator's request."""

from dataclasses import dataclass
from datetime import datetime

from domain.drift import is_ahead
from domain.instance import require_same_instance
from domain.ports import Checkpoints, IdentityProvider, UserRepository, UserTable
from domain.reconcile import now_in_milliseconds
from domain.sync_user import SyncUser
from domain.user import (
    DeletedUser,
    LocalUser,
    Outcome,
    Source,
    User,
    UserId,
    outcome_of,
    supersedes,
)

NOBODY = "nobody"
"""Neither our table nor Clerk has a live user by that id: there is nothing to do."""

CHANGED_MEANWHILE = "changed meanwhile"
"""The outcome would no longer be the one that the operator confirmed: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """The user in our table and at Clerk now, and the outcome that a sync would have."""

    ours: LocalUser | DeletedUser | None
    clerks: User | None

    @property
    def expected(self) -> str:
        """An `Outcome`, or `NOBODY`."""
        if self.clerks is not None:
            return outcome_of(self.ours, self.clerks).value
        return Outcome.DELETED.value if isinstance(self.ours, LocalUser) else NOBODY

    @property
    def is_behind(self) -> bool:
        """Whether a sync would write Clerk's answer over our row, even if the contents agree."""
        if self.clerks is None or not isinstance(self.ours, LocalUser):
            return False
        return supersedes(self.clerks, self.ours)

    @property
    def is_ahead(self) -> bool:
        """Whether our row claims a version that Clerk does not have."""
        return is_ahead(self.ours, self.clerks)


@dataclass(frozen=True, kw_only=True)
class SyncNow:
    """Fetches the user from Clerk and syncs it. Each method raises `IdentityProviderUnavailable`
    (`UserUnreadable` for a user we cannot keep) or `StorageUnavailable`.
    """

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def plan(self, user_id: UserId) -> SyncPlan:
        """What a sync would do; writes nothing."""
        clerks = await self.identity_provider.fetch(user_id)
        ours = await self.users.get(user_id)
        return SyncPlan(ours=ours, clerks=clerks)

    async def __call__(self, user_id: UserId, confirmed: str) -> str:
        """Sync the user if the outcome would be `confirmed`: a tombstone cannot be undone.

        Returns the outcome, `NOBODY` or `CHANGED_MEANWHILE`. Also raises `WrongInstance`: a 404 of
        another instance is not a deletion.
        """
        plan = await self.plan(user_id)
        if plan.expected != confirmed:
            return CHANGED_MEANWHILE
        if plan.clerks is not None:
            return await self._sync(plan.clerks)
        if plan.expected == NOBODY:
            return NOBODY
        await require_same_instance(
            self.identity_provider, self.user_table, self.checkpoints, self.instance_id
        )
        return await self._sync(DeletedUser(clerk_id=user_id, deleted_at=now_in_milliseconds()))

    async def trust_clerk(self, user_id: UserId, confirmed: datetime) -> str:
        """Overwrite a row that is ahead of Clerk, if its version is still the `confirmed` one.

        The version of the row is withdrawn, so that Clerk's answer is the greater. Returns
        the outcome, or `CHANGED_MEANWHILE`.
        """
        plan = await self.plan(user_id)
        if plan.clerks is None or not plan.is_ahead:
            return CHANGED_MEANWHILE
        if not await self.users.withdraw_version(user_id, confirmed):
            return CHANGED_MEANWHILE
        return await self._sync(plan.clerks)

    async def _sync(self, change: User | DeletedUser) -> str:
        result = await self.users.sync(SyncUser(change=change, source=Source.RECONCILE))
        return result.outcome.value
