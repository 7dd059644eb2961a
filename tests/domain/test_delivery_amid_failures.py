"""Many changes fail at the same time, in virtual time: what is read meanwhile."""

import asyncio

from domain.delivery_parts import DeliveryLimits
from domain.subscriptions import Delivery
from tests.domain.deliveries import Worker, World, fails_for
from tests.simulation.virtual_time import in_virtual_time

LIMITS = DeliveryLimits(failing=100, page=20, window=40, trial=30)


@in_virtual_time
async def test_while_too_many_wait_for_another_try_hardly_any_more_are_read() -> None:
    world = World()
    people = await world.create(300)
    worker = Worker(world, behaviour=fails_for(*people, until=500), limits=LIMITS)
    await asyncio.sleep(100)
    [before] = await world.subscriptions.standings()
    assert 100 <= before.waiting <= 160
    await asyncio.sleep(300)
    [after] = await world.subscriptions.standings()
    assert after.waiting - before.waiting <= 11
    assert after.position - before.position <= 11
    await asyncio.sleep(3000)
    await worker.end()
    assert sorted(set(world.positions)) == list(range(1, 301))


@in_virtual_time
async def test_after_an_outage_of_the_receiver_the_changes_of_others_arrive_within_a_minute() -> (
    None
):
    world = World()
    await world.create(300)

    async def outage(_: Delivery) -> None:
        if asyncio.get_running_loop().time() < 100:
            raise ConnectionError

    worker = Worker(world, behaviour=outage, limits=LIMITS, pauses=(18_000.0,) * 7)
    await asyncio.sleep(160)
    await world.create(1)
    await asyncio.sleep(1)
    [standing] = await world.subscriptions.standings()
    await worker.end()
    assert standing.waiting >= 100
    assert world.positions[-1] == 301
    assert len(world.positions) == 301 - standing.waiting


@in_virtual_time
async def test_many_users_whose_changes_always_fail_hold_up_nobody_else() -> None:
    world = World()
    people = await world.create(400)
    worker = Worker(world, behaviour=fails_for(*people[::2]), limits=LIMITS)
    await asyncio.sleep(30)
    await worker.end()
    assert sorted(world.positions) == list(range(2, 401, 2))
