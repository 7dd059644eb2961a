"""Deliveries that arrive together share a statement, without harm to one another."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain

import pytest

from adapters.postgres.batching import (
    LARGEST_BATCH,
    MOST_IN_FLIGHT,
    SLOW_AFTER,
    WORTH_ANOTHER,
    Batching,
)
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.users import PostgresUserRepository, keys_of
from domain.errors import StorageUnavailable, SyncError, Unstorable
from domain.sync_user import SyncResult, SyncUser
from domain.user import Outcome
from tests.people import delivered, new_id, user
from tests.simulation.virtual_time import in_virtual_time

AT_ONCE = 2
DONE = SyncResult(outcome=Outcome.CREATED, deliveries=1)


class Scribe:
    """Records what it is asked to write, and writes it when the test lets it."""

    def __init__(self) -> None:
        self.batches: list[Sequence[SyncUser]] = []
        self.since: list[float] = []
        self.alone: list[SyncUser] = []
        self.let = asyncio.Event()
        self.refuses: dict[str, SyncError] = {}
        self.leaves_out: set[str] = set()

    async def write_together(
        self, commands: Sequence[SyncUser], since: float
    ) -> Mapping[int, SyncResult]:
        self.batches.append(commands)
        self.since.append(since)
        await self.let.wait()
        for command in commands:
            self._refuse(command)
        return {
            place: DONE
            for place, command in enumerate(commands)
            if command.change.clerk_id not in self.leaves_out
        }

    async def write_alone(self, command: SyncUser, since: float) -> SyncResult:
        self.alone.append(command)
        self.since.append(since)
        self._refuse(command)
        return DONE

    def _refuse(self, command: SyncUser) -> None:
        if error := self.refuses.get(command.change.clerk_id):
            raise error


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


def batching_of(scribe: Scribe, at_once: int = AT_ONCE) -> Batching[SyncUser, SyncResult]:
    return Batching(scribe.write_together, alone=scribe.write_alone, keys=keys_of, at_once=at_once)


async def deliver(
    scribe: Scribe,
    commands: Sequence[SyncUser],
    *,
    ahead: Sequence[SyncUser] = (),
    at_once: int = AT_ONCE,
) -> list[SyncResult | BaseException]:
    """Deliver all at once, to a store that is slow at first; those in `ahead` before, one by one."""
    batching = batching_of(scribe, at_once)
    tasks = [await begun(batching, [command]) for command in ahead]
    tasks.append(await begun(batching, commands))
    scribe.let.set()
    return await asyncio.gather(*chain(*tasks), return_exceptions=True)


async def begun(
    batching: Batching[SyncUser, SyncResult], commands: Sequence[SyncUser]
) -> list[asyncio.Task[SyncResult]]:
    """Wait until all items of this turn of the loop run or are pending."""
    tasks = [asyncio.create_task(batching(command)) for command in commands]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def deliveries(count: int) -> list[SyncUser]:
    return [delivered(user(new_id())) for _ in range(count)]


async def test_a_single_item_runs_at_once(scribe: Scribe) -> None:
    commands = deliveries(1)
    assert await deliver(scribe, commands) == [DONE]
    assert scribe.batches == [commands]


async def test_many_items_of_one_turn_run_in_two_halves(scribe: Scribe) -> None:
    commands = deliveries(WORTH_ANOTHER + 1)
    half = WORTH_ANOTHER // 2 + 1
    assert await deliver(scribe, commands) == [DONE] * len(commands)
    assert scribe.batches == [commands[:half], commands[half:]]


async def test_a_few_items_of_one_turn_are_one_batch(scribe: Scribe) -> None:
    commands = deliveries(WORTH_ANOTHER - 1)
    await deliver(scribe, commands)
    assert scribe.batches == [commands]


@pytest.mark.parametrize("count", [WORTH_ANOTHER - 1, WORTH_ANOTHER])
async def test_many_items_run_beside_a_batch_in_flight_and_a_few_after_it(
    scribe: Scribe, count: int
) -> None:
    batching, first, later = batching_of(scribe), deliveries(1), deliveries(count)
    tasks = await begun(batching, first)
    tasks += await begun(batching, later)
    assert scribe.batches == [first, later][: 1 + (count == WORTH_ANOTHER)]
    scribe.let.set()
    await asyncio.gather(*tasks)
    assert scribe.batches == [first, later]


async def test_items_that_arrive_while_a_batch_is_in_flight_are_batched(scribe: Scribe) -> None:
    first, later = deliveries(1), deliveries(5)
    assert await deliver(scribe, later, ahead=first, at_once=1) == [DONE] * 6
    assert scribe.batches == [first, later]


async def test_a_batch_is_limited(scribe: Scribe) -> None:
    await deliver(scribe, deliveries(LARGEST_BATCH + 1), at_once=1)
    assert [len(batch) for batch in scribe.batches] == [LARGEST_BATCH, 1]


async def test_one_user_is_never_twice_in_a_batch(scribe: Scribe) -> None:
    somebody = new_id()
    twice = [delivered(user(somebody, updated=second)) for second in (1, 2)]
    await deliver(scribe, twice)
    assert scribe.batches == [[twice[0]], [twice[1]]]


async def test_one_svix_id_is_never_twice_in_a_batch(scribe: Scribe) -> None:
    twice = [delivered(user(new_id()), svix_id="msg_same") for _ in range(2)]
    await deliver(scribe, twice)
    assert scribe.batches == [[twice[0]], [twice[1]]]


async def test_an_unstorable_item_fails_alone(scribe: Scribe) -> None:
    commands = deliveries(3)
    poison = commands[-1]
    scribe.refuses[poison.change.clerk_id] = error = Unstorable("22021")
    assert await deliver(scribe, commands) == [*[DONE] * (len(commands) - 1), error]


async def test_an_unstorable_item_that_is_alone_is_tried_once(scribe: Scribe) -> None:
    [poison] = deliveries(1)
    scribe.refuses[poison.change.clerk_id] = error = Unstorable("22021")
    assert await deliver(scribe, [poison]) == [error]
    assert not scribe.alone


async def test_an_item_that_would_wait_for_a_lock_runs_alone(scribe: Scribe) -> None:
    commands = deliveries(3)
    scribe.leaves_out.add(commands[-1].change.clerk_id)
    assert await deliver(scribe, commands) == [DONE] * len(commands)
    assert scribe.alone == [commands[-1]]


async def test_an_unavailable_store_fails_the_whole_batch(scribe: Scribe) -> None:
    commands = deliveries(3)
    scribe.refuses[commands[-1].change.clerk_id] = error = StorageUnavailable("gone")
    assert await deliver(scribe, commands, ahead=deliveries(1)) == [DONE, error, error, error]


async def test_after_a_failure_the_next_are_written(scribe: Scribe) -> None:
    batching = batching_of(scribe)
    scribe.let.set()
    [first, second] = deliveries(2)
    scribe.refuses[first.change.clerk_id] = StorageUnavailable("gone")
    with pytest.raises(StorageUnavailable):
        await batching(first)
    assert await batching(second) == DONE


async def test_a_cancelled_caller_does_not_affect_its_batch(scribe: Scribe) -> None:
    tasks = await begun(batching_of(scribe), deliveries(3))
    tasks[0].cancel()
    scribe.let.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert ended[1:] == [DONE, DONE]


async def test_the_wait_of_a_batch_is_that_of_its_oldest_item(scribe: Scribe) -> None:
    batching = batching_of(scribe)
    clock = asyncio.get_running_loop().time
    before = clock()
    tasks = [(await begun(batching, [one]))[0] for one in deliveries(AT_ONCE + 1)]
    began = clock()
    await asyncio.sleep(0.05)
    scribe.let.set()
    await asyncio.gather(*tasks)
    assert before <= scribe.since[-1] <= began


async def test_an_item_cancelled_while_pending_is_not_written(scribe: Scribe) -> None:
    batching = batching_of(scribe)
    tasks = [(await begun(batching, [one]))[0] for one in deliveries(AT_ONCE + 1)]
    tasks[-1].cancel()
    await asyncio.sleep(0)
    scribe.let.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(scribe.batches) == AT_ONCE


@in_virtual_time
async def test_slow_batches_do_not_delay_other_items() -> None:
    """As on dead connections."""
    scribe = Scribe()
    batching, commands = batching_of(scribe), deliveries(4)
    tasks = [(await begun(batching, [one]))[0] for one in commands]
    assert scribe.batches == [commands[:1]]
    await asyncio.sleep(2 * SLOW_AFTER)
    assert scribe.batches[1:] == [commands[1:]]
    scribe.let.set()
    assert await asyncio.gather(*tasks) == [DONE] * len(commands)


@in_virtual_time
async def test_a_limited_number_of_batches_is_in_flight_however_long_they_take() -> None:
    scribe = Scribe()
    batching, commands = batching_of(scribe), deliveries(MOST_IN_FLIGHT + 5)
    tasks = []
    for one in commands:
        tasks += await begun(batching, [one])
        await asyncio.sleep(2 * SLOW_AFTER)
    assert scribe.batches == [[one] for one in commands[:MOST_IN_FLIGHT]]
    scribe.let.set()
    assert await asyncio.gather(*tasks) == [DONE] * len(commands)
    assert [one for batch in scribe.batches for one in batch] == commands


PAGES = 40


async def test_the_time_before_a_batch_counts(store_url: str) -> None:
    """One batch after the other, each with its own wait, would take twenty seconds."""
    limits = PoolLimits(size=AT_ONCE, wait=1.0, deadline=60, connect=20)
    database = Database(store_url, limits)
    await database.open()
    users = PostgresUserRepository(database)
    async with all_taken(database, AT_ONCE):
        began = asyncio.get_running_loop().time()
        ended = await asyncio.gather(
            *(users.get(new_id()) for _ in range(PAGES * LARGEST_BATCH)), return_exceptions=True
        )
        waited = asyncio.get_running_loop().time() - began
    await database.close()
    assert {type(one) for one in ended} == {StorageUnavailable}
    assert waited < PAGES * limits.wait / AT_ONCE


@asynccontextmanager
async def all_taken(database: Database, size: int) -> AsyncIterator[None]:
    """Take every connection of the pool."""
    enough = asyncio.Event()
    holders = [asyncio.create_task(database.run(lambda _: enough.wait())) for _ in range(size)]
    while database.in_use < size:
        await asyncio.sleep(0.01)
    yield
    enough.set()
    await asyncio.gather(*holders)
