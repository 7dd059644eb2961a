"""Whether CLERK_SECRET_KEY belongs to the Clerk instance that our rows came from.

With the key of another instance, all our rows would look deleted and all its users would be new.
"""

from domain.errors import UserUnreadable, WrongInstance
from domain.ports import IdentityProvider, UserTable
from domain.user import UserId

ASKED_FOR = 20
"""How many live rows are looked up at Clerk. If Clerk has none of them, the instance is wrong."""


async def require_same_instance(
    identity_provider: IdentityProvider, user_table: UserTable, instance_id: str | None
) -> None:
    """Check the instance by `instance_id` if it is set, otherwise by one user on both sides.

    An empty table fits any instance. Raises `WrongInstance`, `IdentityProviderUnavailable` or
    `StorageUnavailable`.
    """
    if instance_id is not None:
        found = await identity_provider.instance_ids()
        if instance_id not in found:
            raise WrongInstance(f"it signs as {', '.join(sorted(found))}, not as {instance_id}")
        return
    ours = await user_table.live_ids(after=None, limit=ASKED_FOR)
    for user_id in ours:
        if await is_at_clerk(identity_provider, user_id):
            return
    if ours:
        raise WrongInstance("it knows none of our users; if it is right, set CLERK_INSTANCE_ID")


async def is_at_clerk(identity_provider: IdentityProvider, user_id: UserId) -> bool:
    """Whether Clerk has the user, even an unreadable one. Raises `IdentityProviderUnavailable`.

    Only Clerk's 404 means no.
    """
    try:
        return await identity_provider.fetch(user_id) is not None
    except UserUnreadable:
        return True
