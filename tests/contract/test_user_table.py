"""What every `UserTable` must do. Runs on the one in memory and on a real Postgres."""

import pytest

from domain.user import LocalUser, UserChange, UserId
from tests.contract.conftest import Store
from tests.people import deleted, new_id, observed, user


async def keep(store: Store, *changes: UserChange) -> None:
    await store.users.sync_many([observed(change) for change in changes])


async def walked(store: Store, limit: int) -> list[list[UserId]]:
    """All pages of live ids."""
    pages: list[list[UserId]] = []
    after: UserId | None = None
    while ids := await store.table.live_ids(after=after, limit=limit):
        pages.append(list(ids))
        after = ids[-1]
    return pages


async def test_many_are_read_as_each_alone(store: Store) -> None:
    live, gone = new_id(), new_id()
    await keep(store, user(live, public_metadata={"plan": "pro"}, banned=True), deleted(gone))
    assert await store.table.get_many([live, gone]) == {
        live: await store.users.get(live),
        gone: await store.users.get(gone),
    }


async def test_a_tombstone_is_read_as_one(store: Store) -> None:
    gone = new_id()
    await keep(store, deleted(gone, when=5))
    assert await store.table.get_many([gone]) == {gone: deleted(gone, when=5)}


async def test_unknown_users_are_left_out(store: Store) -> None:
    there = new_id()
    await keep(store, user(there))
    assert set(await store.table.get_many([new_id(), there, new_id()])) == {there}


async def test_no_ids_give_no_users(store: Store) -> None:
    await keep(store, user(new_id()))
    assert await store.table.get_many([]) == {}


async def test_an_id_given_twice_gives_one_user(store: Store) -> None:
    there = new_id()
    await keep(store, user(there))
    assert list(await store.table.get_many([there, there])) == [there]


async def test_what_is_read_is_what_was_written_last(store: Store) -> None:
    user_id = new_id()
    await keep(store, user(user_id, updated=1), user(user_id, updated=2, first_name="Newer"))
    record = (await store.table.get_many([user_id]))[user_id]
    assert isinstance(record, LocalUser)
    assert record.first_name == "Newer"


@pytest.mark.parametrize("number", [0, 1, 5, 6])
async def test_live_ids_come_page_by_page_in_order_each_once(store: Store, number: int) -> None:
    everyone = [new_id() for _ in range(number)]
    await keep(store, *map(user, everyone))
    pages = await walked(store, 2)
    assert [user_id for page in pages for user_id in page] == sorted(everyone)
    assert [len(page) for page in pages[:-1]] == [2] * (len(pages) - 1)


async def test_tombstones_are_not_among_the_live(store: Store) -> None:
    first, second, third = sorted(new_id() for _ in range(3))
    await keep(store, user(first), user(second), user(third), deleted(second))
    assert await walked(store, 10) == [[first, third]]


async def test_the_one_named_is_not_among_those_after(store: Store) -> None:
    first, second = sorted([new_id(), new_id()])
    await keep(store, user(first), user(second))
    assert list(await store.table.live_ids(after=first, limit=10)) == [second]
    assert list(await store.table.live_ids(after=second, limit=10)) == []


async def test_listing_continues_after_an_id_that_is_gone(store: Store) -> None:
    first, second, third = sorted(new_id() for _ in range(3))
    await keep(store, user(first), deleted(second), user(third))
    assert list(await store.table.live_ids(after=second, limit=10)) == [third]


async def test_a_walk_meets_everyone_once_however_the_store_sorts_letters(store: Store) -> None:
    ids = [UserId(f"user_{name}") for name in ("B", "a", "0", "Aa", "aB", "b1")]
    await keep(store, *map(user, ids))
    assert sorted(await walked(store, 1)) == sorted([one] for one in ids)
