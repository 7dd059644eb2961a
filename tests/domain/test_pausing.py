"""A receiver that fails for days, or is gone, pauses its subscription: in virtual time."""

import asyncio

import pytest

from domain.errors import ReceiverGone, StorageUnavailable
from domain.pausing import FIVE_DAYS, GONE, PauseWatch, reason_to_pause
from domain.subscriptions import AsideState, Delivery, Subscription, SubscriptionStanding
from service.targets import SVIX_PAUSES
from tests.domain.deliveries import Behaviour, Worker, World
from tests.simulation.virtual_time import in_virtual_time

REAL_DAY = 86_400.0
DAY = REAL_DAY / 500
"""A worker looks at the store several times a second, so the days of these tests are shorter."""

HOUR = DAY / 24
SHORTER_PAUSES = tuple(pause / 500 for pause in SVIX_PAUSES)


@pytest.mark.parametrize(
    ("pause_after", "failing_for", "is_gone", "reason"),
    [
        (FIVE_DAYS, None, False, None),
        (FIVE_DAYS, FIVE_DAYS - 1, False, None),
        (FIVE_DAYS, FIVE_DAYS, False, "every attempt failed for 5 d"),
        (FIVE_DAYS, 0.0, True, GONE),
        (FIVE_DAYS, None, True, GONE),
        (None, 100 * REAL_DAY, False, None),
        (None, 100 * REAL_DAY, True, None),
    ],
)
def test_five_days_or_a_receiver_that_is_gone_are_a_reason(
    pause_after: float | None, failing_for: float | None, is_gone: bool, reason: str | None
) -> None:
    assert reason_to_pause(pause_after, failing_for, is_gone=is_gone) == reason


def raises(error: type[Exception], until: float = float("inf")) -> Behaviour:
    async def behave(delivery: Delivery) -> None:
        assert delivery.key
        if asyncio.get_running_loop().time() < until:
            raise error("answered")

    return behave


def pushing(world: World, behaviour: Behaviour, **more: object) -> Worker:
    return Worker(world, behaviour=behaviour, pauses=SHORTER_PAUSES, pause_after=5 * DAY, **more)  # type: ignore[arg-type]


async def standing(world: World) -> SubscriptionStanding:
    [one] = await world.subscriptions.standings()
    return one


async def one_change_a_day(world: World, days: int) -> None:
    for _ in range(days):
        await world.create(1)
        await asyncio.sleep(DAY)


@in_virtual_time
async def test_an_endpoint_that_fails_for_five_days_is_paused_and_resumed_without_a_loss() -> None:
    world = World()
    worker = pushing(world, raises(ConnectionError, until=12 * DAY))
    await one_change_a_day(world, 5)
    assert (await standing(world)).paused_at is None
    await one_change_a_day(world, 5)
    paused = await standing(world)
    assert paused.paused_because is not None
    assert paused.paused_because.startswith("every attempt failed for")
    assert paused.holder is None
    assert worker.report.paused_because == [paused.paused_because]
    attempts, position = len(worker.report.attempts), paused.position
    assert position < 10
    await one_change_a_day(world, 3)
    assert (len(worker.report.attempts), (await standing(world)).position) == (attempts, position)
    assert await world.subscriptions.resume("mail")
    await world.subscriptions.retry("mail")
    await asyncio.sleep(DAY)
    await worker.end()
    assert sorted(world.positions) == list(range(1, 14))
    assert (await standing(world)).paused_at is None


@in_virtual_time
async def test_one_success_begins_the_five_days_anew() -> None:
    world = World()
    works = False

    async def behave(delivery: Delivery) -> None:
        assert delivery.key
        if not works:
            raise ConnectionError

    worker = pushing(world, behave)
    for _ in range(4):
        await one_change_a_day(world, 4)
        works = True
        await world.create(1)
        await asyncio.sleep(1)
        works = False
    await worker.end()
    assert worker.report.paused_because == []


@in_virtual_time
async def test_the_five_days_go_on_over_a_restart_and_a_store_that_is_away() -> None:
    world = World()
    for day in range(7):
        worker = pushing(world, raises(ConnectionError), holder=f"process {day}")
        await asyncio.sleep(HOUR)
        worker.store.is_away = StorageUnavailable()
        await asyncio.sleep(HOUR)
        worker.store.is_away = None
        await one_change_a_day(world, 1)
        await worker.end()
    assert (await standing(world)).paused_at is not None


@in_virtual_time
async def test_a_success_counts_though_the_store_was_away_when_it_was_to_be_noted() -> None:
    world = World()
    worker = pushing(world, raises(ConnectionError))
    await one_change_a_day(world, 1)
    row = world.subscriptions.rows["mail"]
    assert row.failing_since is not None
    watch = PauseWatch(Subscription(name="mail", pause_after=DAY), worker.parts)
    watch.note(None)
    worker.store.is_away = StorageUnavailable()
    with pytest.raises(StorageUnavailable):
        await watch.judge()
    worker.store.is_away = None
    await watch.judge()
    assert row.failing_since is None
    await worker.end()


@in_virtual_time
async def test_a_receiver_that_is_gone_is_paused_at_once_and_its_change_kept() -> None:
    world = World()
    worker = pushing(world, raises(ReceiverGone), at_once=1)
    await world.create(5)
    await asyncio.sleep(2)
    paused = await standing(world)
    assert (paused.paused_because, paused.position) == (GONE, paused.waiting)
    attempts = len(worker.report.attempts)
    await asyncio.sleep(DAY)
    await worker.end()
    assert len(worker.report.attempts) == attempts
    kept = await world.subscriptions.set_aside("mail", 9)
    assert {one.state for one in kept} == {AsideState.WAITING}


@in_virtual_time
async def test_a_handler_is_never_paused() -> None:
    world = World()
    worker = Worker(world, behaviour=raises(ReceiverGone), pauses=SHORTER_PAUSES)
    await one_change_a_day(world, 8)
    await worker.end()
    assert (await standing(world)).paused_at is None
    assert worker.report.paused_because == []
