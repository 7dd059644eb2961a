"""The statement equals the pure function, on any history, one by one or in batches."""

from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import (
    KEPT_FIELDS,
    DeletedUser,
    LocalUser,
    User,
    UserChange,
    UserId,
    UserState,
    join,
    outcome_of,
)
from tests.histories import changes
from tests.people import new_id, observed, outcomes_of, user
from tests.postgres_server import Sql

real_store = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def renamed(change: UserChange, user_id: UserId) -> UserChange:
    """A history without a user; every example applies it to a new user."""
    values = {name: getattr(change, name) for name in change.__dataclass_fields__}
    return type(change)(**{**values, "clerk_id": user_id})


def as_observed(record: LocalUser | DeletedUser | None) -> UserState:
    if not isinstance(record, LocalUser):
        return record
    names = ("clerk_id", "clerk_updated_at", "observed_at", *KEPT_FIELDS)
    return User(**{name: getattr(record, name) for name in names})


@pytest.fixture
def users(database: Database) -> PostgresUserRepository:
    return PostgresUserRepository(database)


@real_store
@given(drawn=st.lists(st.tuples(st.booleans(), changes(UserId("user_x"))), min_size=1, max_size=8))
async def test_the_statement_equals_the_join(
    users: PostgresUserRepository, drawn: list[tuple[bool, UserChange]]
) -> None:
    user_id = new_id()
    stored: UserState = None
    for and_get, one in drawn:
        change = renamed(one, user_id)
        if and_get:
            result, record = await users.sync_and_get(observed(change))
            assert record == await users.get(user_id)
        else:
            result = await users.sync(observed(change))
        assert result.outcome == outcome_of(stored, change)
        stored = join(stored, change)
        assert as_observed(await users.get(user_id)) == stored


@real_store
@given(drawn=st.lists(st.tuples(st.integers(0, 2), changes(UserId("user_x"))), max_size=10))
async def test_a_page_equals_its_commands_one_by_one(
    users: PostgresUserRepository, drawn: list[tuple[int, UserChange]]
) -> None:
    people = [new_id() for _ in range(3)]
    page = [renamed(change, people[who]) for who, change in drawn]
    results = await users.sync_many([observed(change) for change in page])
    stored: dict[UserId, UserState] = dict.fromkeys(people)
    for change, outcome in zip(page, outcomes_of(results), strict=True):
        assert outcome == outcome_of(stored[change.clerk_id], change)
        stored[change.clerk_id] = join(stored[change.clerk_id], change)
    for user_id in people:
        assert as_observed(await users.get(user_id)) == stored[user_id]


@real_store
@given(drawn=st.lists(changes(UserId("user_x")), min_size=2, max_size=6), order=st.randoms())
async def test_the_row_ends_the_same_in_any_order(
    users: PostgresUserRepository, drawn: list[UserChange], order: Any
) -> None:
    shuffled = list(drawn)
    order.shuffle(shuffled)
    ends = []
    for history in (drawn, shuffled):
        user_id = new_id()
        await users.sync_many([observed(renamed(change, user_id)) for change in history])
        record = as_observed(await users.get(user_id))
        assert record == reduce(join, [renamed(change, user_id) for change in history])
        ends.append(renamed(record, UserId("user_x")) if record else None)
    assert ends[0] == ends[1]


async def test_what_changes_nothing_writes_no_row(users: PostgresUserRepository, sql: Sql) -> None:
    page = [observed(user(new_id())) for _ in range(50)]
    await users.sync_many(page)
    before = await sql.fetch("select ctid, xmin, * from users order by clerk_id")
    results = await users.sync_many(page)
    assert set(outcomes_of(results)) == {"unchanged"}
    assert await sql.fetch("select ctid, xmin, * from users order by clerk_id") == before
