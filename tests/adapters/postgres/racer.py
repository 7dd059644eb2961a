"""One of two processes that race over the same users. Prints how often anything was refused."""

import asyncio
import random
import sys

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.users import PostgresUserRepository
from domain.user import UserId
from tests.people import deleted, delivered, observed, user


async def race(url: str, seed: int, trials: int) -> None:
    database = Database(url, PoolLimits(size=8))
    await database.open()
    users = PostgresUserRepository(database)
    shuffler = random.Random(seed)

    async def trial(number: int) -> None:
        user_id = UserId(f"user_race{number}")
        commands = [
            delivered(user(user_id, updated=1), svix_id=f"msg_{number}_created"),
            delivered(user(user_id, updated=2), svix_id=f"msg_{number}_updated"),
            delivered(deleted(user_id), svix_id=f"msg_{number}_deleted"),
            observed(user(user_id, updated=3)),
        ]
        shuffler.shuffle(commands)
        for command in commands:
            await users.sync(command)

    async def pages() -> None:
        numbers = list(range(trials))
        for _ in range(0, trials, 50):
            shuffler.shuffle(numbers)
            page = [observed(user(UserId(f"user_race{n}"), updated=4)) for n in numbers[:50]]
            await users.sync_many(page)

    places = asyncio.Semaphore(8)

    async def bounded(number: int) -> None:
        async with places:
            await trial(number)

    await asyncio.gather(pages(), *(bounded(number) for number in range(trials)))
    await database.close()


if __name__ == "__main__":
    asyncio.run(race(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
