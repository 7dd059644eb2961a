"""Many callers share one task."""

import asyncio

import pytest

from domain.single_flight import SingleFlight


class Work:
    """Counts its starts; ends when the test lets it."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        return number

    async def fail(self) -> int:
        await self()
        raise LookupError("nothing there")


@pytest.fixture
def flights() -> SingleFlight[str, int]:
    return SingleFlight()


async def test_calls_in_flight_share_the_result(flights: SingleFlight[str, int]) -> None:
    work = Work()
    asking = [asyncio.create_task(flights.run("key", work)) for _ in range(50)]
    await asyncio.sleep(0)
    work.may_end.set()
    assert await asyncio.gather(*asking) == [1] * 50


async def test_they_share_the_error_too(flights: SingleFlight[str, int]) -> None:
    work = Work()
    asking = [asyncio.create_task(flights.run("key", work.fail)) for _ in range(3)]
    work.may_end.set()
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ended] == [LookupError] * 3
    assert work.begun == 1


async def test_a_later_call_does_the_work_again(flights: SingleFlight[str, int]) -> None:
    work = Work()
    work.may_end.set()
    assert [await flights.run("key", work) for _ in range(3)] == [1, 2, 3]


async def test_another_key_is_another_piece_of_work(flights: SingleFlight[str, int]) -> None:
    work = Work()
    work.may_end.set()
    both = await asyncio.gather(*(flights.run(key, work) for key in ("one", "two")))
    assert both == [1, 2]


async def test_a_cancelled_caller_does_not_cancel_the_task(flights: SingleFlight[str, int]) -> None:
    work = Work()
    impatient = asyncio.create_task(flights.run("key", work))
    patient = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0)
    impatient.cancel()
    work.may_end.set()
    assert await patient == 1
    assert impatient.cancelled()


async def test_draining_waits_for_tasks_without_a_caller(
    flights: SingleFlight[str, int],
) -> None:
    work = Work()
    asking = asyncio.create_task(flights.run("key", work.fail))
    await asyncio.sleep(0)
    asking.cancel()
    draining = asyncio.create_task(flights.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    work.may_end.set()
    await draining
