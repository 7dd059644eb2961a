"""Delivery of changes in virtual time: order, retries, takeover, deadlines, shutdown."""

import asyncio
import random
import re
from datetime import timedelta

from domain.changes import Kind
from domain.subscriptions import PAUSES, AsideState, Delivery, Wants
from domain.user import Source, UserId
from tests.domain.deliveries import Worker, World, fails_for
from tests.people import new_id, observed, user
from tests.simulation.virtual_time import in_virtual_time


@in_virtual_time
async def test_every_change_arrives_once_with_the_record_as_it_is_then() -> None:
    world = World()
    [ada, bob] = await world.create(2)
    await world.delete(bob)
    worker = Worker(world)
    await asyncio.sleep(1)
    await world.live(ada, 2)
    await asyncio.sleep(1)
    await worker.end()
    assert world.positions == [1, 2, 3, 4]
    names = [one.user and one.user.first_name for one in world.arrived]
    assert names == ["Ada 1", None, None, "Ada 2"]
    assert (world.arrived[0].key, world.arrived[0].attempt) == ("mail:1", 1)
    [standing] = await world.subscriptions.standings()
    assert (standing.position, standing.holder) == (4, None)


@in_virtual_time
async def test_a_new_change_arrives_within_the_half_of_a_second() -> None:
    world = World()
    worker = Worker(world)
    await asyncio.sleep(1.23)
    for count in range(50):
        began = asyncio.get_running_loop().time()
        await world.create(1)
        await asyncio.sleep(0.5)
        assert len(world.arrived) == count + 1
        assert world.at[-1] - began < 0.3
        await asyncio.sleep(random.random())
    await worker.end()


@in_virtual_time
async def test_only_what_is_wanted_arrives() -> None:
    world = World()
    ada = new_id()
    for version, email, source in [
        (1, "a@x.io", Source.JIT),
        (2, "a@x.io", Source.WEBHOOK),
        (3, "b@x.io", Source.WEBHOOK),
        (4, "c@x.io", Source.BACKFILL),
    ]:
        await world.store.sync(observed(user(ada, updated=version, email=email), source))
    wants = Wants(kinds=frozenset({Kind.UPDATED, Kind.DELETED}), fields=frozenset({"email"}))
    worker = Worker(world, wants=wants)
    await asyncio.sleep(1)
    await world.delete(ada)
    await asyncio.sleep(1)
    await worker.end()
    assert world.positions == [3, 5]


@in_virtual_time
async def test_users_go_at_once_up_to_the_limit_and_one_user_in_order() -> None:
    world = World()
    busy: dict[UserId, int] = {}
    most = 0

    async def behave(delivery: Delivery) -> None:
        nonlocal most
        one = delivery.change.clerk_id
        assert one not in busy
        busy[one] = 1
        most = max(most, len(busy))
        await asyncio.sleep(random.random())
        del busy[one]

    people = await world.create(20)
    for version in (2, 3, 4):
        for one in people:
            await world.live(one, version)
    worker = Worker(world, behaviour=behave, at_once=5)
    await asyncio.sleep(60)
    await worker.end()
    assert most == 5
    assert len(world.arrived) == 80
    assert all(seen == sorted(seen) for seen in world.of_each_user().values())


@in_virtual_time
async def test_a_failure_is_tried_again_after_growing_pauses_and_holds_up_its_user_alone() -> None:
    world = World()
    [ada, bob] = await world.create(2)
    worker = Worker(world, behaviour=fails_for(ada, until=100))
    await asyncio.sleep(1)
    await world.live(ada, 2)
    await world.live(bob, 2)
    await asyncio.sleep(1)
    assert world.positions == [2, 4]  # bob's; ada's second waits for the first
    await asyncio.sleep(300)
    await worker.end()
    assert world.positions == [2, 4, 1, 3]
    failures = [error for position, error, _ in worker.report.attempts if position == 1]
    assert re.fullmatch(r"ValueError at deliveries\.py:\d+", str(failures[0]))
    assert len(failures) == 5  # at 0, 1, 6, 36 and 156 s, more or less
    assert world.arrived[2].attempt == 5


@in_virtual_time
async def test_what_fails_is_delivered_once_though_the_try_ends_while_progress_is_saved() -> None:
    """What the store has set aside is out of date then, and must not be begun again."""
    world = World()
    people = await world.create(50)

    async def second_try_works(delivery: Delivery) -> None:
        await asyncio.sleep(random.random() / 3)
        if delivery.attempt == 1:
            raise ValueError

    worker = Worker(world, behaviour=second_try_works, pauses=(0.01,) * 3)
    worker.store.latency = lambda: 0.1
    for version in (2, 3):
        await asyncio.sleep(0.7)
        for one in people:
            await world.live(one, version)
    await asyncio.sleep(120)
    await worker.end()
    assert sorted(world.positions) == list(range(1, 151))
    assert all(found == sorted(found) for found in world.of_each_user().values())
    assert {delivery.attempt for delivery in world.arrived} == {2}
    [standing] = await world.subscriptions.standings()
    assert (standing.position, standing.waiting) == (150, 0)


@in_virtual_time
async def test_after_the_last_try_it_is_parked_and_its_user_waits_for_an_operator() -> None:
    world = World()
    [ada, bob] = await world.create(2)
    await world.live(ada, 2)
    cure = 2 * sum(PAUSES)
    worker = Worker(world, behaviour=fails_for(ada, until=cure))
    await asyncio.sleep(cure)
    [aside] = (await world.subscriptions.aside_of(ada))["mail"]
    assert (aside.position, aside.state, aside.attempts) == (1, AsideState.PARKED, len(PAUSES) + 1)
    assert sum(position == 1 for position, _, _ in worker.report.attempts) == len(PAUSES) + 1
    assert worker.report.attempts[-1][2]
    await world.live(bob, 2)
    await asyncio.sleep(5)
    assert world.positions == [2, 4]
    await world.subscriptions.retry("mail")
    await asyncio.sleep(5)
    await worker.end()
    assert world.positions == [2, 4, 1, 3]


@in_virtual_time
async def test_what_is_given_up_is_not_delivered_and_the_users_next_change_is() -> None:
    world = World()
    [ada] = await world.create(1)
    await world.live(ada, 2)

    async def refuse(delivery: Delivery) -> None:
        if delivery.change.kind is Kind.CREATED:
            raise ValueError

    worker = Worker(world, behaviour=refuse)
    await asyncio.sleep(3)
    await world.subscriptions.skip("mail", 1)
    await asyncio.sleep(3)
    await worker.end()
    assert world.positions == [2]
    [aside] = (await world.subscriptions.aside_of(ada))["mail"]
    assert aside.state is AsideState.GIVEN_UP


@in_virtual_time
async def test_a_target_that_hangs_is_ended_at_its_deadline_and_the_position_goes_on() -> None:
    world = World()
    [ada, *others] = await world.create(5)

    async def hang(delivery: Delivery) -> None:
        if delivery.change.clerk_id == ada:
            await asyncio.sleep(3600)

    worker = Worker(world, behaviour=hang, deadline=20)
    await asyncio.sleep(4)
    assert sorted(world.positions) == [2, 3, 4, 5]
    [standing] = await world.subscriptions.standings()
    assert (standing.position, standing.waiting) == (5, 1)
    assert not worker.report.attempts[4:]
    await asyncio.sleep(20)
    assert worker.report.attempts[4] == (1, "TimeoutError", False)
    await worker.end()
    assert len(others) == 4


@in_virtual_time
async def test_a_cancelled_task_of_the_targets_own_is_a_failure_and_ends_no_worker() -> None:
    world = World()
    await world.create(3)

    async def cancelled(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            inner = asyncio.create_task(asyncio.sleep(10))
            inner.cancel()
            await inner

    worker = Worker(world, behaviour=cancelled, at_once=1)
    await asyncio.sleep(10)
    await worker.end()
    assert sorted(world.positions) == [1, 2, 3]


@in_virtual_time
async def test_one_that_fell_behind_says_so_and_goes_on_where_it_is_told() -> None:
    world = World()
    await world.create(4)
    worker = Worker(world)
    await asyncio.sleep(1)
    await worker.end()
    await world.create(4)
    await world.log.number()
    assert await world.log.expire(timedelta(seconds=-1), 6) == 6
    again = Worker(world)
    await asyncio.sleep(10)
    assert again.report.behind == 1
    await world.subscriptions.rewind("mail", 6)
    await asyncio.sleep(120)
    await again.end()
    assert world.positions == [1, 2, 3, 4, 7, 8]


@in_virtual_time
async def test_one_that_expires_during_its_attempt_is_given_up_and_its_user_goes_on() -> None:
    world = World()
    [ada] = await world.create(1)
    await world.live(ada, 2)

    async def fails_after_it_expired(delivery: Delivery) -> None:
        if delivery.change.position == 1:
            assert await world.log.expire(timedelta(seconds=-1), 9) == 1
            raise ValueError

    worker = Worker(world, behaviour=fails_after_it_expired)
    await asyncio.sleep(5)
    await worker.end()
    [standing] = await world.subscriptions.standings()
    assert (world.positions, standing.waiting, standing.given_up) == ([2], 0, 1)


@in_virtual_time
async def test_a_rewind_amid_the_work_delivers_again_from_there() -> None:
    world = World()
    await world.create(6)
    worker = Worker(world)
    await asyncio.sleep(2)
    await world.subscriptions.rewind("mail", 3)
    await asyncio.sleep(5)
    await worker.end()
    assert world.positions == [1, 2, 3, 4, 5, 6, 4, 5, 6]
