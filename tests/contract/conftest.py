from dataclasses import dataclass

import pytest

from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.users import PostgresUserRepository
from domain.ports import Journal, UserRepository, UserTable
from tests.fakes.store import InMemoryStore


@dataclass
class Store:
    users: UserRepository
    table: UserTable
    journal: Journal


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each contract test runs on both adapters."""
    if request.param == "memory":
        memory = InMemoryStore()
        return Store(users=memory, table=memory, journal=memory)
    database: Database = request.getfixturevalue("database")
    users = PostgresUserRepository(database)
    return Store(users=users, table=users, journal=PostgresJournal(database))
