"""An identity provider in memory, with a delay, an outage and a record of the fetches."""

import asyncio
from collections.abc import AsyncIterator

from domain.errors import IdentityProviderUnavailable
from domain.ports import IdentityProvider, UserPage
from domain.user import User, UserId


class InMemoryClerk(IdentityProvider):
    def __init__(self, *users: User, delay: float = 0.0) -> None:
        self.users = {user.clerk_id: user for user in users}
        self.delay = delay
        self.down = False
        self.fetches: list[UserId] = []

    async def fetch(self, user_id: UserId) -> User | None:
        self.fetches.append(user_id)
        seen = self.users.get(user_id)
        await asyncio.sleep(self.delay)
        if self.down:
            raise IdentityProviderUnavailable("down", retry_after=7)
        return seen

    async def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[UserPage]:
        everyone = list(self.users.values())
        ids = list(self.users)
        yield UserPage(users=everyone[ids.index(starting_after) + 1 if starting_after else 0 :])

    async def newest_first(self) -> AsyncIterator[UserPage]:
        users = sorted(self.users.values(), key=lambda user: user.clerk_updated_at, reverse=True)
        yield UserPage(users=users)

    async def instance_ids(self) -> frozenset[str]:
        return frozenset({"ins_fake"})

    async def count(self) -> int:
        return len(self.users)
