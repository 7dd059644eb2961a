"""The Clerk instance that the store's users belong to.

Rows of two instances never mix: with the key of another instance all our rows would look deleted
and all its users would be new. So the instance is pinned in the store: by CLERK_INSTANCE_ID, or by
the instance of the secret key, when Clerk is first asked.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from domain.errors import StoreOfAnotherInstance, UserUnreadable, WrongInstance
from domain.ports import Checkpoints, IdentityProvider, UserRepository, UserTable
from domain.sync_user import SyncResult, SyncUser
from domain.user import DeletedUser, LocalUser, UserId

PIN = "clerk.instance"
"""The checkpoint that holds the id of the instance."""

ASKED_FOR = 20
"""How many live rows are looked up at Clerk. If Clerk has none of them, the instance is wrong."""

_INSTANCE_ID = re.compile(r"ins_[A-Za-z0-9]+")


class Instance:
    """What a process knows of it. `given` is CLERK_INSTANCE_ID; `id` is None until it is known.

    `contradiction` says why the rows are not those of the settings' instance, if they are not.
    """

    def __init__(self, given: str | None) -> None:
        self.given = given
        self.id = given
        self.contradiction: str | None = None

    @property
    def followed(self) -> str | None:
        """The instance whose events are applied; None: any.

        Any in a contradiction too: then nothing is written, and every event comes again.
        """
        return None if self.contradiction else self.id

    def require_no_contradiction(self) -> None:
        """Raises `StoreOfAnotherInstance` in a contradiction."""
        if self.contradiction is not None:
            raise StoreOfAnotherInstance(self.contradiction, retry_after=60)


class OfOneInstance(UserRepository):
    """The repository, which in a contradiction refuses to write: `StoreOfAnotherInstance`."""

    def __init__(self, users: UserRepository, instance: Instance) -> None:
        self._users = users
        self._instance = instance

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        return await self._users.get(user_id)

    async def sync(self, command: SyncUser) -> SyncResult:
        self._instance.require_no_contradiction()
        return await self._users.sync(command)

    async def sync_and_get(
        self, command: SyncUser
    ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
        self._instance.require_no_contradiction()
        return await self._users.sync_and_get(command)

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        self._instance.require_no_contradiction()
        return await self._users.sync_many(commands)

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        self._instance.require_no_contradiction()
        return await self._users.withdraw_version(user_id, version)


async def learn(
    instance: Instance,
    identity_provider: IdentityProvider,
    user_table: UserTable,
    checkpoints: Checkpoints,
) -> None:
    """Fill in `instance` from the store, then from Clerk if no setting names it, and pin it.

    Raises `IdentityProviderUnavailable` or `StorageUnavailable`; then call again.
    """
    await recall(instance, checkpoints)
    if instance.given is None:
        await _learn_from_clerk(instance, identity_provider, user_table, checkpoints)
    if instance.id is not None and instance.contradiction is None:
        first = await checkpoints.save_first(PIN, instance.id)
        if first != instance.id:  # another replica was faster, with other settings
            await learn(instance, identity_provider, user_table, checkpoints)


async def recall(instance: Instance, checkpoints: Checkpoints) -> None:
    """Fill in `instance` from the store alone. Raises `StorageUnavailable`."""
    try:
        instance.id = await _pinned(checkpoints, instance.given)
    except WrongInstance as error:
        instance.contradiction = str(error)
    else:
        instance.contradiction = instance.contradiction if instance.given is None else None


async def require_same_instance(
    identity_provider: IdentityProvider,
    user_table: UserTable,
    checkpoints: Checkpoints,
    given: str | None,
) -> str | None:
    """Check that the secret key is of the instance that is given or pinned.

    If none is, Clerk must have one of our first `ASKED_FOR` live rows; an empty table fits any.
    Returns the instance, or None where Clerk does not name a single one. Raises `WrongInstance`,
    `IdentityProviderUnavailable` or `StorageUnavailable`.
    """
    instance_id = await _pinned(checkpoints, given)
    if instance_id is None:
        await _require_common_user(identity_provider, user_table)
    found = await identity_provider.instance_ids()
    if instance_id is not None and instance_id not in found:
        owners = ", ".join(sorted(found)) or "no instance"
        raise WrongInstance(f"CLERK_SECRET_KEY is of {owners}, not of {instance_id}")
    named = list(filter(_INSTANCE_ID.fullmatch, found))
    return instance_id or (named[0] if len(named) == 1 else None)


async def is_at_clerk(identity_provider: IdentityProvider, user_id: UserId) -> bool:
    """Whether Clerk has the user, even an unreadable one. Raises `IdentityProviderUnavailable`.

    Only Clerk's 404 means no.
    """
    try:
        return await identity_provider.fetch(user_id) is not None
    except UserUnreadable:
        return True


async def _learn_from_clerk(
    instance: Instance,
    identity_provider: IdentityProvider,
    user_table: UserTable,
    checkpoints: Checkpoints,
) -> None:
    try:
        found = await require_same_instance(identity_provider, user_table, checkpoints, None)
    except WrongInstance as error:
        # Without a pin, the users we know may all be deleted at Clerk: then this proves nothing.
        instance.contradiction = str(error) if instance.id is not None else None
    else:
        instance.id, instance.contradiction = found, None


async def _pinned(checkpoints: Checkpoints, given: str | None) -> str | None:
    stored = await checkpoints.load(PIN)
    if stored is not None and given is not None and stored != given:
        raise WrongInstance(f"the rows are of {stored}, and CLERK_INSTANCE_ID is {given}")
    return stored or given


async def _require_common_user(identity_provider: IdentityProvider, user_table: UserTable) -> None:
    ours = await user_table.live_ids(after=None, limit=ASKED_FOR)
    for user_id in ours:
        if await is_at_clerk(identity_provider, user_id):
            return
    if ours:
        raise WrongInstance(
            "Clerk has none of our users; if CLERK_SECRET_KEY is right, set CLERK_INSTANCE_ID"
        )
