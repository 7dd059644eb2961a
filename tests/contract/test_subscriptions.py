"""What every store of subscriptions must do. Runs on the one in memory and on a real Postgres."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.change_log import Progress
from domain.changes import Kind
from domain.errors import FellBehind
from domain.subscriptions import AsideState, SetAside, Subscription, SubscriptionStanding, Wants
from domain.user import Source, UserId
from tests.contract.conftest import Store
from tests.people import new_id, observed, user

MAIL = Subscription(name="mail")
FROM_THE_OLDEST = Subscription(name="mail", begin="oldest")
US, THEM = "us", "them"
LONG = 60.0


async def arrive(store: Store, *people: UserId, version: int = 1) -> None:
    for one in people:
        await store.users.sync(observed(user(one, updated=version)))


async def held(store: Store, subscription: Subscription = FROM_THE_OLDEST) -> int:
    await store.subscriptions.declare(subscription)
    position = await store.subscriptions.take(subscription.name, US, LONG)
    assert position is not None
    return position


async def save(
    store: Store,
    position: int,
    *,
    holder: str = US,
    read: int | None = None,
    aside: Sequence[SetAside] = (),
    resolved: Sequence[SetAside] = (),
    given_up: Sequence[SetAside] = (),
) -> bool:
    progress = Progress(
        position=position,
        read=position if read is None else read,
        aside=aside,
        resolved=resolved,
        given_up=given_up,
    )
    return await store.subscriptions.save("mail", holder, progress, LONG)


def aside(
    position: int,
    user_id: UserId,
    state: AsideState = AsideState.WAITING,
    *,
    attempts: int = 1,
    pause: float = 0.0,
) -> SetAside:
    return SetAside(
        position=position,
        clerk_id=user_id,
        state=state,
        attempts=attempts,
        error="ValueError",
        pause=pause,
    )


async def standing(store: Store) -> SubscriptionStanding:
    [one] = await store.desk.standings()
    return one


async def due(store: Store, *in_hand: UserId) -> list[int]:
    found = await store.subscriptions.due("mail", in_hand, 100)
    return [change.position for _, change in found.changes]


async def kept(store: Store) -> list[tuple[int, str, int]]:
    found = await store.desk.set_aside("mail", 100)
    return [(one.position, one.state.value, one.attempts) for one in found]


async def test_it_begins_at_the_present(store: Store) -> None:
    await arrive(store, new_id(), new_id())
    assert await held(store, MAIL) == 2
    await arrive(store, new_id())
    await store.changes.number()
    assert [one.position for one in (await store.subscriptions.read("mail", 2, 10)).changes] == [3]


async def test_or_with_the_oldest_change_that_is_kept(store: Store) -> None:
    await arrive(store, *(new_id() for _ in range(4)))
    await store.changes.number()
    await store.changes.expire(timedelta(seconds=-60), 2)
    assert await held(store) == 2


async def test_where_nothing_has_happened_yet_both_are_the_beginning(store: Store) -> None:
    assert await held(store, MAIL) == 0
    await store.desk.remove("mail")
    assert await held(store) == 0


async def test_a_declaration_moves_no_subscription_and_keeps_what_is_wanted_now(
    store: Store,
) -> None:
    await held(store)
    await arrive(store, new_id())
    wants = Wants(
        kinds=frozenset({Kind.UPDATED}),
        sources=frozenset({Source.JIT}),
        fields=frozenset({"email", "username"}),
    )
    await store.subscriptions.declare(Subscription(name="mail", wants=wants))
    now = await standing(store)
    assert (now.position, now.wants) == (0, wants)


async def test_one_process_at_a_time_holds_it(store: Store) -> None:
    await held(store)
    assert await store.subscriptions.take("mail", THEM, LONG) is None
    assert await store.subscriptions.take("mail", US, LONG) == 0
    await store.subscriptions.release("mail", THEM)
    assert await store.subscriptions.take("mail", THEM, LONG) is None
    await store.subscriptions.release("mail", US)
    assert await store.subscriptions.take("mail", THEM, LONG) == 0


async def test_a_lease_that_ran_out_is_anybodys(store: Store) -> None:
    await store.subscriptions.declare(MAIL)
    await store.subscriptions.take("mail", US, 0.05)
    await asyncio.sleep(0.1)
    assert (await standing(store)).holder is None
    assert await store.subscriptions.take("mail", THEM, LONG) == 0
    assert (await standing(store)).holder == THEM


async def test_many_who_want_it_at_once_and_one_gets_it(store: Store) -> None:
    await store.subscriptions.declare(MAIL)
    takes = (store.subscriptions.take("mail", f"process {n}", LONG) for n in range(20))
    assert sorted(str(one) for one in await asyncio.gather(*takes)) == ["0", *["None"] * 19]


async def test_what_nobody_has_declared_is_not_held(store: Store) -> None:
    assert await store.subscriptions.take("mail", US, LONG) is None


async def test_progress_is_kept_and_who_lost_the_lease_keeps_nothing(store: Store) -> None:
    ada = new_id()
    await arrive(store, ada, new_id())
    await held(store)
    await store.changes.number()
    assert await save(store, 1)
    assert not await save(store, 2, holder=THEM, aside=[aside(2, ada)])
    assert ((await standing(store)).position, await kept(store)) == (1, [])


async def test_who_reads_what_has_expired_is_told(store: Store) -> None:
    await held(store)
    await arrive(store, *(new_id() for _ in range(3)))
    await store.changes.number()
    assert not (await standing(store)).fell_behind
    await store.changes.expire(timedelta(seconds=-60), 10)
    with pytest.raises(FellBehind):
        await store.subscriptions.read("mail", 0, 10)
    assert (await standing(store)).fell_behind


async def lose(store: Store, newest: int) -> None:
    """The store forgets the newest changes, as a failover to a late standby does."""
    await store.forget(newest)


async def test_what_was_read_and_then_lost_by_the_store_is_not_saved(store: Store) -> None:
    await held(store)
    await arrive(store, *(new_id() for _ in range(4)))
    await store.changes.number()
    assert await save(store, 2)
    await lose(store, 1)
    assert not await save(store, 3, read=4)
    assert (await standing(store)).position == 2


async def test_a_subscription_that_is_ahead_of_the_log_is_told(store: Store) -> None:
    await held(store)
    await arrive(store, *(new_id() for _ in range(4)))
    await store.changes.number()
    assert await save(store, 4)
    await lose(store, 2)
    with pytest.raises(FellBehind):
        await store.subscriptions.read("mail", 4, 10)
    assert (await standing(store)).fell_behind


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
    assert await store.desk.retry("mail") == 1
    assert await due(store) == [1, 2]
    assert await kept(store) == [(1, "waiting", 0), (2, "waiting", 0)]


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
    await save(store, 1, aside=[aside(1, ada, attempts=2)])
    assert await kept(store) == [(1, "skipping", 2)]
    assert await due(store) == [1]


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


async def test_a_rewind_forgets_what_is_read_again_and_takes_it_from_its_holder(
    store: Store,
) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, ada, new_id(), bob)
    await held(store)
    await store.changes.number()
    await save(store, 3, aside=[aside(1, ada), aside(3, bob)])
    assert await store.desk.rewind("mail", 1)
    assert not await save(store, 3)
    assert await kept(store) == [(1, "waiting", 1)]
    assert await store.subscriptions.take("mail", THEM, LONG) == 1
    assert not await store.desk.rewind("nobody", 1)


async def test_what_is_set_aside_does_not_expire_nor_what_waits_for_it(store: Store) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, bob, ada)
    await arrive(store, bob, ada, version=2)
    await arrive(store, bob, version=3)
    await held(store)
    await store.changes.number()
    await save(store, 5, aside=[aside(2, ada, AsideState.PARKED)])
    assert await store.changes.expire(timedelta(seconds=-60), 100) == 2
    assert [one.position for one in await store.changes.history(ada)] == [2, 4]
    assert [one.position for one in await store.changes.history(bob)] == [5]


async def test_how_far_behind_it_is(store: Store) -> None:
    await held(store)
    await arrive(store, new_id(), new_id())
    await store.changes.number()
    now = await standing(store)
    assert (now.behind, now.behind_seconds >= 0) == (2, True)
    await save(store, 2)
    assert (await standing(store)).behind == 0


async def test_one_that_is_removed_is_gone_with_what_it_set_aside(store: Store) -> None:
    ada = new_id()
    await arrive(store, ada)
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada)])
    assert await store.desk.remove("mail")
    assert not await store.desk.remove("mail")
    assert not await store.desk.standings()
    assert not await store.desk.aside_of(ada)


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


async def test_a_paused_subscription_is_taken_by_no_process_until_it_is_resumed(
    store: Store,
) -> None:
    await arrive(store, new_id())
    await held(store)
    assert await save(store, 1)
    assert not await store.subscriptions.pause("mail", THEM, "not theirs")
    assert await store.subscriptions.pause("mail", US, "answered 410")
    assert await save(store, 1), "what was delivered before is kept"
    await store.subscriptions.release("mail", US)
    assert await store.subscriptions.take("mail", US, LONG) is None
    paused = await standing(store)
    assert (paused.paused_because, paused.paused_at is None) == ("answered 410", False)
    assert await store.desk.resume("mail")
    assert not await store.desk.resume("mail")
    assert await store.subscriptions.take("mail", THEM, LONG) == 1
    assert (await standing(store)).paused_at is None
