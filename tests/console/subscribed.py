"""Subscriptions in every state, for the console to show."""

from collections.abc import Sequence

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import Progress
from domain.changes import Kind
from domain.subscriptions import AsideState, SetAside, Subscription, Wants
from domain.user import UserId
from tests.people import deleted, new_id, observed, user

ERROR = "SMTPServerDisconnected at smtplib.py:398"


class Subscribed:
    """Ada changed twice, Bob and Cyd were deleted, and "mail" could not deliver much of that.

    - "mail": Ada's first change is parked, Bob's deletion waits, Cyd's deletion was given up.
    - "crm": paused, behind the first change.
    - "purge": wants deletions alone, and has delivered all.
    """

    def __init__(self, database: Database) -> None:
        self.users = PostgresUserRepository(database)
        self.log = PostgresChangeLog(database)
        self.store = PostgresSubscriptions(database, self.log)
        self.ada, self.bob, self.cyd = new_id(), new_id(), new_id()

    async def prepare(self) -> None:
        for one in (self.ada, self.bob, self.cyd):
            await self.users.sync(observed(user(one, updated=1, email=f"{one}@example.com")))
        await self.users.sync(observed(user(self.ada, updated=2, email="new@example.com")))
        await self.users.sync(observed(deleted(self.bob)))
        await self.users.sync(observed(deleted(self.cyd)))
        purge = Wants(kinds=frozenset({Kind.DELETED}))
        for name, wants in (("mail", Wants()), ("crm", Wants()), ("purge", purge)):
            await self.store.declare(Subscription(name=name, begin="oldest", wants=wants))
            await self.store.take(name, f"41@shop {name}", 600)
        await self.save("mail", 6, [aside(1, self.ada, AsideState.PARKED, 8)])
        await self.save("mail", 6, [aside(5, self.bob, AsideState.WAITING, 2, pause=120.0)])
        given_up = [aside(6, self.cyd, AsideState.PARKED, 8)]
        await self.save("mail", 6, given_up)
        await self.save("mail", 6, given_up=given_up)
        await self.save("purge", 6)
        await self.save("crm", 1)
        await self.store.pause("crm", "41@shop crm", "the receiver answered 410 Gone")
        await self.store.release("crm", "41@shop crm")

    async def save(
        self,
        name: str,
        position: int,
        asides: Sequence[SetAside] = (),
        given_up: Sequence[SetAside] = (),
    ) -> None:
        progress = Progress(position=position, read=position, aside=asides, given_up=given_up)
        assert await self.store.save(name, f"41@shop {name}", progress, 600)

    async def states(self) -> list[tuple[int, str]]:
        found = await self.store.set_aside("mail", 9)
        return [(one.position, one.state.value) for one in found]

    async def position(self, name: str) -> int:
        return next(one.position for one in await self.store.standings() if one.name == name)


def aside(
    position: int, user_id: UserId, state: AsideState, attempts: int, pause: float = 0.0
) -> SetAside:
    return SetAside(
        position=position,
        clerk_id=user_id,
        state=state,
        attempts=attempts,
        error=ERROR,
        pause=pause,
    )
