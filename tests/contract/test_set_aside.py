"""What every store of subscriptions must do with changes that are set aside."""

import asyncio
from datetime import timedelta

import pytest

from domain.subscriptions import RETRIED, SKIPPED, AsideState, Subscription
from domain.user import UserId
from tests.contract.conftest import Store
from tests.contract.subscribed import (
    LONG,
    THEM,
    US,
    arrive,
    aside,
    due,
    held,
    kept,
    lose,
    save,
    standing,
)
from tests.people import new_id


async def test_a_user_with_a_change_set_aside_is_held(store: Store) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, ada, bob)
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada)])
    await arrive(store, ada, bob, version=2)
    await store.changes.number()
    page = await store.subscriptions.read("mail", 1, 10)
    assert [one.position for one in page.changes] == [2, 3, 4]
    assert page.held == {ada}


async def test_what_is_set_aside_is_due_after_its_pause_but_for_users_in_hand(
    store: Store,
) -> None:
    ada, bob, eve = new_id(), new_id(), new_id()
    await arrive(store, ada, bob, eve)
    await held(store)
    await store.changes.number()
    await save(store, 3, aside=[aside(1, ada), aside(2, bob, pause=60), aside(3, eve)])
    assert await due(store) == [1, 3]
    assert await due(store, ada) == [3]
    assert (await store.subscriptions.due("mail", [], 1)).waiting == 3


async def test_what_is_parked_is_not_due_until_it_is_retried(store: Store) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, ada, bob)
    await held(store)
    await store.changes.number()
    parked = [aside(1, ada, AsideState.PARKED), aside(2, bob, AsideState.PARKED)]
    await save(store, 2, aside=parked)
    assert await due(store) == []
    assert (await standing(store)).parked == 2
    assert await store.desk.retry("mail", 1) == 1
    assert await due(store) == [1]
    assert await store.desk.retry("mail", 2) == 1
    assert await due(store) == [1, 2]
    assert await kept(store) == [(1, "waiting", 0), (2, "waiting", 0)]


async def test_a_retry_of_all_makes_due_what_waits_too(store: Store) -> None:
    """After the repair of a receiver that was down, whose next tries are hours away."""
    ada, bob, eve = new_id(), new_id(), new_id()
    await arrive(store, ada, bob, eve)
    await held(store)
    await store.changes.number()
    waiting = [aside(1, ada, attempts=5, pause=18_000), aside(2, bob, attempts=1, pause=300)]
    await save(store, 3, aside=[*waiting, aside(3, eve)])
    await store.desk.skip("mail", 3)
    assert await store.desk.chosen("mail", RETRIED) == 2
    assert await store.desk.retry("mail") == 2
    assert await due(store) == [3, 1, 2]
    assert await kept(store) == [(1, "waiting", 0), (2, "waiting", 0), (3, "skipping", 1)]


async def test_what_an_operator_chooses_is_counted_as_it_is_acted_on(store: Store) -> None:
    ada, bob, eve = new_id(), new_id(), new_id()
    await arrive(store, ada, bob, eve)
    await held(store)
    await store.changes.number()
    await save(store, 3, aside=[aside(1, ada, AsideState.PARKED), aside(2, bob), aside(3, eve)])
    await save(store, 3, given_up=[aside(3, eve)])
    for act, states, number in (
        (store.desk.skip, SKIPPED, [1, 1, 1, 0]),
        (store.desk.retry, RETRIED, [0, 1, 1, 0]),
    ):
        chosen = [await store.desk.chosen("mail", states, at) for at in (None, 1, 2, 3)]
        assert chosen == number
        assert [await act("mail", at) for at in (None, 1, 2, 3)] == number
        assert await store.desk.chosen("mail", SKIPPED) == 0


async def test_when_it_is_resolved_the_users_next_change_that_was_read_takes_its_place(
    store: Store,
) -> None:
    ada = new_id()
    for version in (1, 2, 3):
        await arrive(store, ada, version=version)
    await held(store)
    await store.changes.number()
    await save(store, 2, aside=[aside(1, ada)])
    await save(store, 2, resolved=[aside(1, ada)])
    assert await kept(store) == [(2, "waiting", 0)]
    assert await due(store) == [2]
    await save(store, 2, resolved=[aside(2, ada)])
    assert await kept(store) == []  # the third was not read yet
    assert (await store.subscriptions.read("mail", 2, 10)).held == frozenset()


async def test_set_aside_and_resolved_in_one_save(store: Store) -> None:
    ada = new_id()
    await arrive(store, ada)
    await arrive(store, ada, version=2)
    await held(store)
    await store.changes.number()
    await save(store, 2, aside=[aside(1, ada)], resolved=[aside(1, ada)])
    assert await kept(store) == [(2, "waiting", 0)]


async def test_a_save_that_is_repeated_changes_nothing(store: Store) -> None:
    """The answer to the first may have been lost with the connection."""
    ada = new_id()
    await arrive(store, ada)
    await arrive(store, ada, version=2)
    await held(store)
    await store.changes.number()
    await save(store, 2, aside=[aside(1, ada)])
    for _ in range(2):
        await save(store, 2, given_up=[aside(1, ada)])
    assert await kept(store) == [(2, "waiting", 0), (1, "given_up", 1)]


async def test_an_operators_skip_is_due_at_once_and_stands_though_the_attempt_in_hand_fails(
    store: Store,
) -> None:
    ada = new_id()
    await arrive(store, ada)
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada, pause=60)])
    assert await store.desk.skip("mail", 1) == 1
    await save(store, 1, aside=[aside(1, ada, attempts=2, pause=60)])
    assert await kept(store) == [(1, "skipping", 2)]
    assert await due(store) == [1]


@pytest.mark.parametrize("state", [AsideState.WAITING, AsideState.PARKED])
async def test_an_operators_retry_is_due_at_once_and_stands_though_the_attempt_in_hand_fails(
    store: Store, state: AsideState
) -> None:
    ada = new_id()
    await arrive(store, ada)
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada, attempts=4, pause=60)])
    assert await store.desk.retry("mail") == 1
    for _ in range(2):  # the answer to the first save may be lost
        await save(store, 1, aside=[aside(1, ada, state, attempts=5, pause=60)])
        assert await kept(store) == [(1, "waiting", 0)]
        assert await due(store) == [1]
    await save(store, 1, aside=[aside(1, ada, attempts=1, pause=60)])
    assert await kept(store) == [(1, "waiting", 1)]
    assert await due(store) == []


async def test_what_is_given_up_is_noted_holds_nobody_and_is_never_due(store: Store) -> None:
    ada = new_id()
    await arrive(store, ada)
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada)])
    await save(store, 1, given_up=[aside(1, ada)])
    await arrive(store, ada, version=2)
    await store.changes.number()
    assert (await store.subscriptions.read("mail", 1, 10)).held == frozenset()
    assert await due(store) == []
    now = await standing(store)
    assert (now.waiting, now.parked, now.given_up) == (0, 0, 1)
    assert [one.state for one in (await store.desk.aside_of(ada))["mail"]] == [AsideState.GIVEN_UP]
    assert await store.desk.retry("mail") == await store.desk.skip("mail", 1) == 0


async def one_that_is_parked_amid_expired_ones(store: Store) -> tuple[UserId, UserId]:
    """The second of five changes is parked, of the first of these users."""
    ada, bob = new_id(), new_id()
    await arrive(store, bob, ada)
    await arrive(store, bob, ada, version=2)
    await arrive(store, bob, version=3)
    await held(store)
    await store.changes.number()
    await save(store, 5, aside=[aside(2, ada, AsideState.PARKED)])
    assert await store.changes.expire(timedelta(seconds=-60), 100) == 2
    return ada, bob


async def test_what_is_set_aside_does_not_expire_nor_what_waits_for_it(store: Store) -> None:
    ada, bob = await one_that_is_parked_amid_expired_ones(store)
    assert [one.position for one in await store.changes.history(ada)] == [2, 4]
    assert [one.position for one in await store.changes.history(bob)] == [5]


async def test_what_is_left_amid_expired_changes_stops_nobody_who_begins_with_the_oldest(
    store: Store,
) -> None:
    ada, _ = await one_that_is_parked_amid_expired_ones(store)
    await store.subscriptions.declare(Subscription(name="post", begin="oldest"))
    for _ in range(2):  # it is left until the next retention, though it is delivered by then
        begins = (await store.changes.ends()).place("oldest")
        assert [one.position for one in await store.changes.after(begins, 9)] == [4, 5]
        await save(store, 5, resolved=[aside(2, ada)])
    position = await store.subscriptions.take("post", US, LONG)
    assert position == begins
    assert not any(one.fell_behind for one in await store.desk.standings())
    assert await store.desk.rewind("post", begins - 1)
    assert [one.fell_behind for one in await store.desk.standings()] == [False, True]


async def test_a_change_that_expired_before_it_was_set_aside_is_due_without_it_and_ends(
    store: Store,
) -> None:
    ada = new_id()
    await arrive(store, ada)
    await arrive(store, ada, version=2)
    await held(store)
    await store.changes.number()
    await store.changes.expire(timedelta(seconds=-60), 10)
    await save(store, 2, aside=[aside(1, ada)])
    assert (await store.subscriptions.due("mail", [], 9)).changes == [(aside(1, ada), None)]
    await save(store, 2, given_up=[aside(1, ada)])
    assert await due(store) == [2]


async def test_a_change_that_the_store_lost_is_not_anothers_who_got_its_position(
    store: Store,
) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, bob, ada)
    await held(store)
    await store.changes.number()
    await save(store, 2, aside=[aside(2, ada)])
    await lose(store, 1)
    await arrive(store, bob, version=2)
    assert await store.changes.number() == 2
    assert (await store.subscriptions.due("mail", [], 9)).changes == [(aside(2, ada), None)]


async def test_how_long_every_attempt_failed_is_known_until_one_is_delivered(store: Store) -> None:
    await held(store)
    first = await store.subscriptions.note_attempts("mail", US, delivered=False)
    await asyncio.sleep(0.05)
    second = await store.subscriptions.note_attempts("mail", US, delivered=False)
    assert first is not None
    assert second is not None
    assert first < 0.05 <= second
    assert await store.subscriptions.note_attempts("mail", US, delivered=True) is None
    again = await store.subscriptions.note_attempts("mail", US, delivered=False)
    assert again is not None
    assert again < 0.05
    assert await store.subscriptions.note_attempts("mail", THEM, delivered=True) is None
    kept = await store.subscriptions.note_attempts("mail", US, delivered=False)
    assert kept is not None
    assert kept > 0
