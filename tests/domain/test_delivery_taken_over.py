"""Delivery of changes when a process or the store stops: takeover, shutdown, and what is lost."""

import asyncio

import pytest

from domain.errors import StorageUnavailable
from domain.subscriptions import Delivery
from tests.domain.deliveries import History, Worker, World
from tests.simulation.virtual_time import in_virtual_time


@in_virtual_time
async def test_another_process_takes_over_within_seconds_of_a_death() -> None:
    world = World()
    first, second = Worker(world, holder="first"), Worker(world, holder="second")
    await asyncio.sleep(5)
    holder = (await world.subscriptions.standings())[0].holder
    assert [first.report.holders, second.report.holders].count([True]) == 1
    dying, heir = (first, second) if holder == "first" else (second, first)
    dying.kill()
    died = asyncio.get_running_loop().time()
    await world.create(1)
    await asyncio.sleep(30)
    assert world.positions == [1]
    assert world.at[0] - died < 7
    await heir.end()
    await dying.end()


@in_virtual_time
async def test_a_death_amid_a_backlog_repeats_what_was_in_hand_and_no_more() -> None:
    world = World()
    for _ in range(150):
        [one] = await world.create(1)
        await world.live(one, 2)

    async def slowly(_: Delivery) -> None:
        await asyncio.sleep(0.1)

    dying = Worker(world, holder="first", behaviour=slowly, at_once=4)
    await asyncio.sleep(4)
    dying.kill()
    died_after = len(world.positions)
    heir = Worker(world, holder="second", behaviour=slowly, at_once=4)
    await asyncio.sleep(30)
    assert set(world.positions) == set(range(1, 301))
    assert 100 < died_after < 200
    assert len(world.positions) <= 300 + 4 + 4 * 3  # in hand, and delivered since the last save
    await heir.end()
    await dying.end()


@in_virtual_time
async def test_who_stops_finishes_what_is_in_hand_and_another_takes_over_at_once() -> None:
    world = World()
    await world.create(3)

    async def slowly(_: Delivery) -> None:
        await asyncio.sleep(0.8)

    first = Worker(world, holder="first", behaviour=slowly, at_once=2)
    await asyncio.sleep(0.5)
    await first.end(grace=5)
    assert world.positions == [1, 2]
    second = Worker(world, holder="second", behaviour=slowly)
    await asyncio.sleep(1.5)
    assert world.positions == [1, 2, 3]
    await second.end()


@in_virtual_time
async def test_what_is_not_finished_in_time_is_handed_back() -> None:
    world = World()
    await world.create(1)

    async def forever(_: Delivery) -> None:
        await asyncio.sleep(3600)

    first = Worker(world, holder="first", behaviour=forever, deadline=4000)
    await asyncio.sleep(0.5)
    await first.end(grace=1)
    assert not world.positions
    second = Worker(world, holder="second")
    await asyncio.sleep(1)
    await second.end()
    assert world.positions == [1]


@in_virtual_time
async def test_a_handler_that_swallows_its_cancellation_does_not_keep_the_process() -> None:
    swallowed: list[None] = []

    async def behave(_delivery: Delivery) -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                if len(swallowed) == 2:
                    raise
                swallowed.append(None)

    world = World()
    await world.create(1)
    worker = Worker(world, behaviour=behave, deadline=4000)
    await asyncio.sleep(0.5)
    async with asyncio.timeout(10):
        await worker.end(grace=1)
    assert len(swallowed) == 2


@in_virtual_time
async def test_a_store_that_is_away_for_a_minute_loses_nothing() -> None:
    world = World()
    await world.create(5)
    worker = Worker(world)
    await asyncio.sleep(0.3)
    worker.store.is_away = StorageUnavailable()
    await world.create(5)
    await asyncio.sleep(60)
    worker.store.is_away = None
    await asyncio.sleep(10)
    await worker.end()
    assert sorted(set(world.positions)) == list(range(1, 11))
    [standing] = await world.subscriptions.standings()
    assert standing.position == 10


@in_virtual_time
async def test_changes_that_the_store_loses_in_a_failover_take_no_others_with_them() -> None:
    """Others get their positions. Whoever had read the lost ones must not take them for those."""
    world = World()
    await world.create(3)

    async def slowly(_: Delivery) -> None:
        await asyncio.sleep(0.5)

    worker = Worker(world, at_once=1, behaviour=slowly)
    await asyncio.sleep(0.9)
    del world.store.changes[2:]  # it was read, and not yet delivered
    await asyncio.sleep(3)
    await world.create(2)
    await asyncio.sleep(20)
    await worker.end()
    assert {1, 2, 3, 4} <= set(world.positions)
    new = [change.clerk_id for change in world.changes()[2:]]
    assert set(new) <= {delivery.change.clerk_id for delivery in world.arrived}


@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_whatever_happens_each_change_arrives_and_each_users_in_order(seed: int) -> None:
    history = History(seed)
    await history.live(150)
    await history.heal()
    await history.judge()
