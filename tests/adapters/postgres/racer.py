"""One of several processes that race over the same users. An error ends it with a traceback."""

import asyncio
import random
import sys

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.users import PostgresUserRepository
from domain.sync_user import SyncUser
from domain.user import Source, UserId
from tests.people import deleted, delivered, observed, user

AT_ONCE = 4
PAGE = 50
DELIVERED_AT = 100.0
NOTICED_AT = 200.0
"""The times at which Clerk deleted them and at which a reconcile noticed."""


async def race(url: str, seed: int, trials: int) -> None:
    """Each trial has another user: all observations of that user at the same time."""
    # Long timeouts, so that no operation fails on a busy machine.
    database = Database(url, PoolLimits(size=8, wait=60, connect=60, deadline=60))
    await database.open()
    users = PostgresUserRepository(database)
    chance = random.Random(seed)
    places = asyncio.Semaphore(AT_ONCE)

    async def trial(number: int) -> None:
        commands = life(number)
        chance.shuffle(commands)
        async with places:
            await asyncio.gather(*(sent(users, command) for command in commands))

    async def backfill() -> None:
        for start in range(0, trials, PAGE):
            page = [a_page_entry(number) for number in range(start, min(start + PAGE, trials))]
            chance.shuffle(page)
            await users.sync_many(page)

    await asyncio.gather(backfill(), backfill(), *map(trial, range(trials)))
    await database.close()


async def sent(users: PostgresUserRepository, command: SyncUser) -> None:
    """As a request, a webhook or a reconcile sends it."""
    if command.source is Source.JIT:
        await users.sync_and_get(command)
    else:
        await users.sync(command)


def life(number: int) -> list[SyncUser]:
    """Three webhooks, a first request, and a reconcile that sees them first live and then not."""
    user_id = name(number)
    return [
        delivered(user(user_id, updated=1), svix_id=f"msg_{number}_created"),
        delivered(user(user_id, updated=2), svix_id=f"msg_{number}_updated"),
        delivered(deleted(user_id, when=DELIVERED_AT), svix_id=f"msg_{number}_deleted"),
        observed(user(user_id, updated=3)),
        observed(user(user_id, updated=3, seen=5), Source.RECONCILE),
        observed(deleted(user_id, when=NOTICED_AT), Source.RECONCILE),
    ]


def a_page_entry(number: int) -> SyncUser:
    return observed(user(name(number), updated=4), Source.BACKFILL)


def name(number: int) -> UserId:
    return UserId(f"user_race{number}")


if __name__ == "__main__":
    asyncio.run(race(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
