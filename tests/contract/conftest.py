from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import ChangeLog, SubscriptionDesk, SubscriptionStore
from domain.journal import Journal
from domain.ports import UserRepository, UserTable
from tests.fakes.changes import InMemoryChangeLog
from tests.fakes.store import InMemoryStore
from tests.fakes.subscriptions import InMemorySubscriptions

FORGET = """
delete from user_changes where position > (select max(position) - $1::bigint from user_changes)
"""


@dataclass
class Store:
    users: UserRepository
    table: UserTable
    journal: Journal
    changes: ChangeLog
    subscriptions: SubscriptionStore
    desk: SubscriptionDesk
    forget: Callable[[int], Awaitable[None]]
    """Lose so many of the newest changes."""


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each contract test runs on both adapters."""
    if request.param == "memory":
        memory = InMemoryStore()
        held = InMemorySubscriptions(memory)

        async def forget_in_memory(number: int) -> None:
            del memory.changes[-number:]

        changes = InMemoryChangeLog(memory, held)
        return Store(
            memory, memory, memory, changes, subscriptions=held, desk=held, forget=forget_in_memory
        )
    database: Database = request.getfixturevalue("database")
    users = PostgresUserRepository(database)
    log = PostgresChangeLog(database)
    subscriptions = PostgresSubscriptions(database, log)

    async def forget(number: int) -> None:
        await database.run(lambda session: session.execute(FORGET, number))

    return Store(
        users=users,
        table=users,
        journal=PostgresJournal(database),
        changes=log,
        subscriptions=subscriptions,
        desk=subscriptions,
        forget=forget,
    )
