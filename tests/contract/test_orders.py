"""What every `UserRepository` must do with many observations: any order, at once, and in pages."""

import asyncio
from itertools import permutations

import pytest

from domain.sync_user import SyncUser
from domain.user import (
    DeletedUser,
    Outcome,
    Source,
    User,
    UserChange,
    UserId,
)
from tests.contract.conftest import Store
from tests.contract.records import live, outcomes
from tests.people import at, deleted, delivered, new_id, observed, outcomes_of, user


def history(user_id: UserId) -> list[SyncUser]:
    """The observations of one user, and a fetch of an early state that arrives at any time."""
    return [
        delivered(user(user_id, updated=1, email="created@example.com")),
        delivered(user(user_id, updated=2, email="first@example.com")),
        delivered(user(user_id, updated=3, email="second@example.com")),
        delivered(deleted(user_id, when=4)),
        observed(user(user_id, updated=2, seen=2.5, email="first@example.com")),
    ]


async def test_every_order_of_events_ends_the_same(store: Store) -> None:
    async def life(order: tuple[int, ...]) -> tuple[object, list[Outcome]]:
        user_id = new_id()
        commands = history(user_id)
        said = [(await store.users.sync(commands[place])).outcome for place in order]
        record = await store.users.get(user_id)
        assert isinstance(record, DeletedUser)
        return record.deleted_at, said

    ends = await asyncio.gather(*(life(order) for order in permutations(range(5))))
    assert {when for when, _ in ends} == {at(4)}
    for _, said in ends:
        # Once it is deleted, nothing is ever applied again.
        after = said[said.index(Outcome.DELETED) + 1 :]
        assert set(after) <= {Outcome.GONE}


async def test_every_order_without_a_deletion_ends_with_the_newest(store: Store) -> None:
    async def life(order: tuple[int, ...]) -> str | None:
        user_id = new_id()
        commands = [command for command in history(user_id) if isinstance(command.change, User)]
        for place in order:
            await store.users.sync(commands[place])
        return (await live(store, user_id)).email

    ends = await asyncio.gather(*(life(order) for order in permutations(range(4))))
    assert set(ends) == {"second@example.com"}


async def test_many_first_sights_at_once_leave_one_row_and_one_creation(store: Store) -> None:
    user_id = new_id()
    results = await asyncio.gather(
        *(store.users.sync(observed(user(user_id, updated=1))) for _ in range(40))
    )
    said = outcomes_of(results)
    assert said.count(Outcome.CREATED) == 1
    assert said.count(Outcome.UNCHANGED) == 39


async def test_a_page_answers_in_its_own_order(store: Store) -> None:
    known, fresh, gone = sorted(new_id() for _ in range(3))
    await outcomes(store, user(known, updated=5), deleted(gone))
    page: list[UserChange] = [
        user(gone),
        user(known, updated=6),
        user(fresh),
        user(known, updated=4),
    ]
    results = await store.users.sync_many([observed(change, Source.BACKFILL) for change in page])
    assert outcomes_of(results) == ["gone", "updated", "created", "stale"]


async def test_a_page_may_hold_one_user_many_times_and_a_deletion(store: Store) -> None:
    user_id = new_id()
    page: list[UserChange] = [
        user(user_id, updated=1),
        user(user_id, updated=2),
        deleted(user_id),
        user(user_id),
    ]
    results = await store.users.sync_many([observed(change) for change in page])
    assert outcomes_of(results) == ["created", "updated", "deleted", "gone"]


@pytest.mark.parametrize("again", [False, True], ids=["each once", "one of them again"])
async def test_a_long_page_answers_in_its_own_order(store: Store, *, again: bool) -> None:
    people = [new_id() for _ in range(250)]
    await outcomes(store, *(user(one) for one in people[::3]), *map(deleted, people[1::3]))
    page: list[UserChange] = [user(one, updated=1) for one in people]
    if again:
        page.append(user(people[2], updated=2))
    results = await store.users.sync_many([observed(change, Source.BACKFILL) for change in page])
    expected = ["updated", "gone", "created"] * 84
    assert outcomes_of(results) == [*expected[:250], *(["updated"] if again else [])]
    assert [(await live(store, one)).clerk_updated_at for one in people[::3]] == [at(1)] * 84


async def test_an_empty_page_is_nothing(store: Store) -> None:
    assert await store.users.sync_many([]) == []
