from dataclasses import dataclass

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import ChangeLog
from domain.ports import Journal, UserRepository, UserTable
from tests.fakes.changes import InMemoryChangeLog
from tests.fakes.store import InMemoryStore


@dataclass
class Store:
    users: UserRepository
    table: UserTable
    journal: Journal
    changes: ChangeLog


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each contract test runs on both adapters."""
    if request.param == "memory":
        memory = InMemoryStore()
        changes = InMemoryChangeLog(memory)
        return Store(users=memory, table=memory, journal=memory, changes=changes)
    database: Database = request.getfixturevalue("database")
    users = PostgresUserRepository(database)
    return Store(
        users=users,
        table=users,
        journal=PostgresJournal(database),
        changes=PostgresChangeLog(database),
    )
