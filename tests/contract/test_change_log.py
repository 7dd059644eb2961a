"""What every `ChangeLog` must do. Runs on the one in memory and on a real Postgres."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.change_log import LogEnds
from domain.changes import Change, Kind
from domain.errors import FellBehind
from domain.user import CONTENT_FIELDS, EmailAddress, LocalUser, Source, User, UserChange, UserId
from tests.contract.conftest import Store
from tests.people import at, deleted, delivered, new_id, observed, user

NO_AGE = timedelta(seconds=-60)
"""Older than any change: the store's clock is not this machine's."""

OTHERWISE: Mapping[str, Any] = {
    "clerk_created_at": at(1),
    "email": "b@x.io",
    "email_verified": True,
    "phone_number": "+1",
    "username": "b",
    "first_name": "B",
    "last_name": "B",
    "image_url": "https://x.io/b.png",
    "external_id": "b",
    "public_metadata": {"b": 1},
    "banned": True,
    "email_addresses": (EmailAddress(address="b@x.io", verified=True, primary=True),),
    "two_factor_enabled": True,
    "locked": True,
    "legal_accepted_at": at(1),
}
"""Another value for every field that counts as contents."""


async def told(store: Store, user_id: UserId) -> list[str]:
    """The user's changes in short: `updated email by webhook`."""
    changes = await store.changes.history(user_id)
    return [" ".join([one.kind, *one.changed, "by", one.source]) for one in changes]


async def many(store: Store, number: int) -> list[UserId]:
    people = [new_id() for _ in range(number)]
    await store.users.sync_many([observed(user(one)) for one in people])
    return people


async def numbered(store: Store, after: int = 0, limit: int = 1000) -> list[Change]:
    await store.changes.number()
    return [*await store.changes.after(after, limit)]


async def test_whatever_moves_a_user_leaves_one_change_and_nothing_else_does(store: Store) -> None:
    ada = new_id()
    for command in [
        delivered(user(ada, updated=1)),
        delivered(user(ada, updated=1)),
        observed(user(ada, updated=3, email="new@x.io"), Source.RECONCILE),
        observed(user(ada, updated=2), Source.BACKFILL),
        delivered(deleted(ada)),
        delivered(deleted(ada, when=50)),
        observed(user(ada, updated=4), Source.REPLAY),
    ]:
        await store.users.sync(command)
    assert await told(store, ada) == [
        "created by webhook",
        "updated email first_name by reconcile",
        "deleted by webhook",
    ]


async def test_a_deletion_of_a_user_never_seen_is_a_change(store: Store) -> None:
    ada = new_id()
    await store.users.sync(observed(deleted(ada, when=7), Source.WEBHOOK))
    [change] = await store.changes.history(ada)
    assert (change.kind, change.changed, change.occurred_at) == (Kind.DELETED, (), at(7))


@pytest.mark.parametrize("name", CONTENT_FIELDS)
async def test_each_field_is_named_when_it_changes(store: Store, name: str) -> None:
    ada = user(new_id(), email="a@x.io")
    others: dict[str, Any] = {
        "updated": 2,
        "email": "a@x.io",
        "first_name": None,
        name: OTHERWISE[name],
    }
    await store.users.sync(observed(ada))
    await store.users.sync(observed(user(ada.clerk_id, **others)))
    [_, change] = await store.changes.history(ada.clerk_id)
    assert (change.kind, change.changed, change.occurred_at) == (Kind.UPDATED, (name,), at(2))


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ([0], [False])])
async def test_metadata_that_is_equal_only_in_python_is_a_change(
    store: Store, old: Any, new: Any
) -> None:
    ada = new_id()
    for number, value in enumerate((old, new), 1):
        observation = user(ada, updated=number, first_name="Ada", public_metadata={"plan": value})
        await store.users.sync(observed(observation))
    assert await told(store, ada) == ["created by jit", "updated public_metadata by jit"]


async def test_a_sign_in_alone_is_no_change(store: Store) -> None:
    ada = user(new_id(), first_name="Ada", updated=1)
    again = user(ada.clerk_id, first_name="Ada", updated=2, last_sign_in_at=at(2))
    await store.users.sync_many([observed(ada), observed(again)])
    assert await told(store, ada.clerk_id) == ["created by jit"]


async def test_a_change_bears_both_ids_of_the_user_and_keeps_them_after_the_deletion(
    store: Store,
) -> None:
    ada = new_id()
    await store.users.sync(observed(user(ada)))
    record = await store.users.get(ada)
    assert isinstance(record, LocalUser)
    await store.users.sync(observed(deleted(ada)))
    changes = await store.changes.history(ada)
    assert {(change.clerk_id, change.user_id) for change in changes} == {(ada, record.id)}


async def test_a_page_with_one_user_many_times_leaves_the_changes_in_order(store: Store) -> None:
    ada = new_id()
    page: list[UserChange] = [user(ada, updated=1), user(ada, updated=2), deleted(ada), user(ada)]
    await store.users.sync_many([observed(change) for change in page])
    assert await told(store, ada) == [
        "created by jit",
        "updated first_name by jit",
        "deleted by jit",
    ]


async def test_many_first_sights_at_once_leave_one_change(store: Store) -> None:
    ada = new_id()
    await asyncio.gather(*(store.users.sync(observed(user(ada, updated=n))) for n in [1] * 20))
    assert await told(store, ada) == ["created by jit"]


async def test_nobody_reads_and_nothing_is_numbered(store: Store) -> None:
    [ada] = await many(store, 1)
    [change] = await store.changes.history(ada)
    assert change.position == 0
    assert await store.changes.ends() == LogEnds(oldest=0, newest=0)


async def test_positions_begin_at_one_have_no_gap_and_stay(store: Store) -> None:
    await many(store, 3)
    first = await numbered(store)
    await many(store, 2)
    second = await numbered(store)
    assert [change.position for change in second] == [1, 2, 3, 4, 5]
    assert second[:3] == first
    assert await store.changes.number() == 5
    assert await store.changes.ends() == LogEnds(oldest=1, newest=5)


async def test_changes_are_read_a_page_at_a_time(store: Store) -> None:
    await many(store, 5)
    everything = await numbered(store)
    assert await numbered(store, 2, 2) == everything[2:4]
    assert await numbered(store, 5) == []


async def test_who_reads_what_has_expired_is_told(store: Store) -> None:
    await many(store, 5)
    await store.changes.number()
    assert await store.changes.expire(NO_AGE, 2) == 2
    with pytest.raises(FellBehind):
        await store.changes.after(1, 100)
    with pytest.raises(FellBehind):
        await store.changes.after(0, 1)
    assert [one.position for one in await store.changes.after(2, 100)] == [3, 4, 5]
    assert await store.changes.ends() == LogEnds(oldest=3, newest=5)


async def test_the_newest_change_stays_so_positions_go_on(store: Store) -> None:
    await many(store, 3)
    await store.changes.number()
    assert await store.changes.expired(NO_AGE) == 2
    assert await store.changes.expire(NO_AGE, 100) == 2
    assert await store.changes.expire(NO_AGE, 100) == await store.changes.expired(NO_AGE) == 0
    await many(store, 1)
    assert await store.changes.number() == 4


async def test_what_is_young_or_not_numbered_yet_does_not_expire(store: Store) -> None:
    await many(store, 2)
    assert await store.changes.expire(NO_AGE, 100) == 0
    await store.changes.number()
    assert await store.changes.expire(timedelta(hours=1), 100) == 0


async def test_no_value_of_a_user_is_in_a_change(store: Store) -> None:
    ada: User = user(new_id(), email="secret@x.io", username="secret-name")
    await store.users.sync(observed(ada))
    await store.users.sync(observed(user(ada.clerk_id, updated=2, email="secret@y.io")))
    assert "secret" not in repr(await store.changes.history(ada.clerk_id))


async def test_the_place_in_a_trace_is_kept_with_each_change_that_has_one(store: Store) -> None:
    ada, bob = new_id(), new_id()
    place = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first = replace(delivered(user(ada, updated=1)), traceparent=place)
    await store.users.sync_many([first, delivered(user(bob, updated=1))])
    await store.users.sync(delivered(user(ada, updated=2, email="new@x.io")))
    assert [one.traceparent for one in await store.changes.history(ada)] == [place, None]
    assert {one.clerk_id: one.traceparent for one in (await numbered(store))[:2]} == {
        ada: place,
        bob: None,
    }


async def test_the_newest_changes_of_a_user_can_be_read_alone(store: Store) -> None:
    ada = new_id()
    for version in range(1, 5):
        await store.users.sync(observed(user(ada, updated=version)))
    every = await store.changes.history(ada)
    assert len(every) == 4
    for number in (1, 2, 4, 9):
        assert await store.changes.history(ada, newest=number) == every[-number:]
