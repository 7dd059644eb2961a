"""What every store of subscriptions must do. Runs on the one in memory and on a real Postgres."""

import asyncio
from datetime import timedelta

import pytest

from domain.changes import Kind
from domain.errors import FellBehind
from domain.subscriptions import AsideState, Subscription, Wants
from domain.user import Source
from tests.contract.conftest import Store
from tests.contract.subscribed import (
    LONG,
    MAIL,
    THEM,
    US,
    arrive,
    aside,
    held,
    kept,
    lose,
    save,
    standing,
)
from tests.people import new_id


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
    now = await standing(store)
    assert (now.fell_behind, now.behind_seconds > 0) == (True, True)


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


async def test_what_a_rewind_passes_over_is_given_up_unless_it_is_read_again(store: Store) -> None:
    ada, bob = new_id(), new_id()
    await arrive(store, ada, bob)
    await arrive(store, ada, bob, version=2)
    await arrive(store, ada, bob, version=3)
    await held(store)
    await store.changes.number()
    await save(store, 2, aside=[aside(1, ada)])

    async def given_up() -> list[int]:
        everyone = [await store.desk.aside_of(one) for one in (ada, bob)]
        asides = [one for of_user in everyone for one in of_user.get("mail", ())]
        return sorted(one.position for one in asides if one.state is AsideState.GIVEN_UP)

    assert await given_up() == []
    for position, passed_over in ((4, [3, 4]), (3, [3]), (5, [3, 4, 5])):
        assert await store.desk.rewind("mail", position)
        assert await given_up() == passed_over
    since = (await store.desk.aside_of(ada, since=4))["mail"]
    assert [(one.position, one.state.value) for one in since] == [(1, "waiting"), (5, "given_up")]
    assert await store.subscriptions.take("mail", US, LONG) == 5
    await save(store, 6, resolved=[aside(1, ada)])
    assert await kept(store) == []
    await store.desk.rewind("mail", 2)
    assert await given_up() == []
    await store.desk.rewind("mail", 6)
    await store.desk.remove("mail")
    await held(store)
    assert await given_up() == []


async def test_how_far_behind_it_is(store: Store) -> None:
    await held(store)
    await arrive(store, new_id(), new_id())
    await store.changes.number()
    now = await standing(store)
    assert (now.behind, now.behind_seconds >= 0) == (2, True)
    await save(store, 2)
    assert (await standing(store)).behind == 0


@pytest.mark.parametrize(("overdue", "is_late"), [(600.0, True), (-600.0, False)])
async def test_one_whose_tries_are_overdue_is_late_though_it_has_read_all(
    store: Store, overdue: float, is_late: bool
) -> None:
    await arrive(store, ada := new_id())
    await held(store)
    await store.changes.number()
    await save(store, 1, aside=[aside(1, ada, pause=-overdue)])
    now = await standing(store)
    assert (now.behind, now.behind_seconds > 60) == (0, is_late)


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
