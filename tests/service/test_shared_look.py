"""Many who look cost the store no more than one."""

import asyncio

import pytest

from domain.schema import SchemaState, Standing
from scripts.clerk_emulator import ClerkEmulator
from service.readiness import Readiness
from service.services import services_of
from service.shared_look import KEPT, SharedLook
from tests.running import running_service
from tests.simulation.virtual_time import in_virtual_time


class Looks:
    """Counts the looks; each takes a quarter of a second, and the first `failures` fail."""

    def __init__(self, failures: int = 0) -> None:
        self.begun = 0
        self._failures = failures

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await asyncio.sleep(0.25)
        if number <= self._failures:
            raise TimeoutError(f"look {number}")
        return number


@in_virtual_time
async def test_all_who_ask_at_once_share_one_look() -> None:
    looks = Looks()
    look = SharedLook(looks)
    assert await asyncio.gather(*(look() for _ in range(300))) == [1] * 300
    assert looks.begun == 1


@in_virtual_time
async def test_a_look_is_kept_for_a_second_after_it_ended() -> None:
    look = SharedLook(Looks())
    assert await look() == 1
    await asyncio.sleep(KEPT - 0.01)
    assert await look() == 1
    await asyncio.sleep(0.02)
    assert await look() == 2


@in_virtual_time
async def test_a_failure_is_told_to_all_who_waited_and_not_kept() -> None:
    look = SharedLook(Looks(failures=1))
    told = await asyncio.gather(*(look() for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in told] == ["look 1"] * 3
    assert await look() == 2


@in_virtual_time
async def test_who_gives_up_does_not_end_the_look_for_the_others() -> None:
    looks = Looks()
    look = SharedLook(looks)
    impatient = asyncio.create_task(look())
    patient = asyncio.create_task(look())
    await asyncio.sleep(0.1)
    impatient.cancel()
    assert await patient == 1
    assert looks.begun == 1


@in_virtual_time
async def test_a_look_that_is_forgotten_does_not_end_the_next_one() -> None:
    looks = Looks(failures=1)
    look = SharedLook(looks)
    first = asyncio.create_task(look())
    await asyncio.sleep(0.1)
    look.forget()
    second = asyncio.create_task(look())
    with pytest.raises(TimeoutError):
        await first
    assert await look() == await second == 2
    assert looks.begun == 2


@in_virtual_time
async def test_three_hundred_who_ask_for_readiness_are_one_look() -> None:
    looks = Looks()

    async def schema() -> SchemaState:
        await looks()
        return SchemaState(standing=Standing.AT_HEAD)

    async def nothing() -> None:
        return None

    readiness = Readiness(
        schema=schema,
        keys_loaded=lambda: True,
        clerk_answers=lambda: True,
        silent_users=looks,
        went_back=nothing,
    )
    reports = await asyncio.gather(*(readiness.report() for _ in range(300)))
    assert all(report.ready for report in reports)
    assert looks.begun == 2, "one for the schema, one for the silent users"


async def test_so_are_the_figures_of_the_metrics(clerk: ClerkEmulator, store_url: str) -> None:
    async with running_service(clerk, store_url) as service:
        assert isinstance(services_of(service.app).figures, SharedLook)
        assert (await service.http.get("/metrics")).status_code == 200
