"""Whether our credentials are of the Clerk instance that our rows belong to.

A wrong key makes everybody look deleted, and strangers look missing.
"""

from domain.errors import UserUnreadable, WrongInstance
from domain.ports import IdentityProvider, UserTable
from domain.user import UserId

ASKED_FOR = 20
"""So many of our live rows are asked for before none of them being at Clerk means anything."""


async def require_same_instance(
    identity_provider: IdentityProvider, user_table: UserTable, instance_id: str | None
) -> None:
    """Proven by `instance_id` where it is named, else by one user on both sides.

    An empty table is anybody's. Raises `WrongInstance`, `IdentityProviderUnavailable` or
    `StorageUnavailable`.
    """
    if instance_id is None:
        await _require_a_user_in_common(identity_provider, user_table)
    else:
        await _require_named(identity_provider, instance_id)


async def is_at_clerk(identity_provider: IdentityProvider, user_id: UserId) -> bool:
    """Readable or not. Raises `IdentityProviderUnavailable`; only Clerk's own 404 says no."""
    try:
        return await identity_provider.fetch(user_id) is not None
    except UserUnreadable:
        return True


async def _require_named(identity_provider: IdentityProvider, instance_id: str) -> None:
    found = await identity_provider.instance_ids()
    if instance_id not in found:
        raise WrongInstance(f"it signs as {', '.join(sorted(found))}, not as {instance_id}")


async def _require_a_user_in_common(
    identity_provider: IdentityProvider, user_table: UserTable
) -> None:
    ours = await user_table.live_ids(after=None, limit=ASKED_FOR)
    for user_id in ours:
        if await is_at_clerk(identity_provider, user_id):
            return
    if ours:
        raise WrongInstance("it knows none of our users; if it is right, set CLERK_INSTANCE_ID")
