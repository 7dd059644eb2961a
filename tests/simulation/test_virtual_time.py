"""Virtual time, and the end of a simulated process."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulation.virtual_time import (
    BEGINNING,
    Process,
    calendar,
    in_virtual_time,
    live_through,
)


@in_virtual_time
async def test_a_year_passes_at_once_when_no_task_is_ready() -> None:
    await asyncio.sleep(365 * 24 * 3600)
    assert datetime.now(UTC) == BEGINNING + timedelta(days=365)


@in_virtual_time
async def test_things_happen_in_their_order() -> None:
    happened: list[float] = []

    async def later(seconds: float) -> None:
        await asyncio.sleep(seconds)
        happened.append(seconds)

    await asyncio.gather(*map(later, (3, 1, 2)))
    assert happened == [1, 2, 3]


@in_virtual_time
async def test_the_calendar_may_be_wrong_while_time_goes_on() -> None:
    calendar().step(-3600)
    await asyncio.sleep(10)
    assert datetime.now(UTC) == BEGINNING + timedelta(seconds=10 - 3600)


def test_a_deadlock_of_all_tasks_is_reported() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="every task waits"):
        live_through(wait())


@in_virtual_time
async def test_a_killed_process_takes_along_whatever_its_tasks_have_started() -> None:
    survived: list[str] = []

    async def child() -> None:
        await asyncio.sleep(1)
        survived.append("child")

    async def parent() -> None:
        asyncio.create_task(child())  # noqa: RUF006 - nobody holds it, as nobody may in a service
        await asyncio.sleep(1)
        survived.append("parent")

    process = Process()
    process.spawn(parent())
    await asyncio.sleep(0.5)
    process.kill()
    await asyncio.sleep(5)
    assert survived == []
