"""What every lock for runs must do, in memory and in Postgres."""

import pytest

from adapters.postgres.exclusive import PostgresExclusive
from domain.errors import AlreadyRunning
from domain.ports import Exclusive
from tests.fakes.exclusive import InMemoryExclusive


@pytest.fixture(params=["memory", "postgres"])
def exclusive(request: pytest.FixtureRequest) -> Exclusive:
    if request.param == "memory":
        return InMemoryExclusive()
    return PostgresExclusive(request.getfixturevalue("store_url"))


async def test_the_second_run_gets_the_name_of_the_first(exclusive: Exclusive) -> None:
    async with exclusive.hold("a test's", "backfill 17@somewhere"):
        with pytest.raises(AlreadyRunning) as refused:
            await exclusive.hold("a test's", "another").__aenter__()
    assert refused.value.holder == "backfill 17@somewhere"


async def test_what_has_another_name_runs_beside_it(exclusive: Exclusive) -> None:
    async with exclusive.hold("a test's", "me"), exclusive.hold("another test's", "me too"):
        pass


async def test_the_lock_is_free_again_at_once(exclusive: Exclusive) -> None:
    for _ in range(3):
        async with exclusive.hold("a test's", "me"):
            pass


async def test_the_lock_is_free_again_after_a_failure(exclusive: Exclusive) -> None:
    with pytest.raises(ZeroDivisionError):
        async with exclusive.hold("a test's", "me"):
            _ = 1 / 0
    async with exclusive.hold("a test's", "me"):
        pass
