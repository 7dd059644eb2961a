"""Every failure of Clerk's Backend API at request time: the answer, the time, the calls, the rows.

Seconds are virtual, and exact but for the jitter of our own retries.
"""

import asyncio
from dataclasses import dataclass

import pytest

from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.simulation.scene import Scene, Told, scene
from tests.simulation.virtual_time import in_virtual_time

DEADLINE = 3.0
FAILURES_THAT_OPEN = 5
PAUSE = 5.0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure of Clerk, the number of calls, and the longest wait of the caller."""

    fault: ApiFault
    calls: int
    seconds: float = DEADLINE
    retry_after: int = 1


def failing(status: int) -> Failure:
    return Failure(fault=ApiFault(kind=FaultKind.ERROR, status=status), calls=3)


def limiting(retry_after: str | None, *, calls: int, asked: int = 1, seconds: float = 3) -> Failure:
    fault = ApiFault(kind=FaultKind.RATE_LIMIT, retry_after=retry_after)
    return Failure(fault=fault, calls=calls, retry_after=asked, seconds=seconds)


def useless(kind: FaultKind, status: int = 200, body: str = "", size: int = 2_000_000) -> Failure:
    """A repetition would not help, so there is one call."""
    fault = ApiFault(kind=kind, status=status, body=body, size=size)
    return Failure(fault=fault, calls=1, seconds=0.1)


FAILURES = {
    "500": failing(500),
    "502": failing(502),
    "503": failing(503),
    "504": failing(504),
    "a gateway's page": Failure(fault=ApiFault(kind=FaultKind.HTML, status=502), calls=3),
    "429, in a second": limiting("1", calls=3),
    "429, in ten": limiting("10", calls=1, asked=10, seconds=0.1),
    "429, tomorrow": limiting("86400", calls=1, asked=86_400, seconds=0.1),
    "429, at a time": limiting("Sun, 01 Mar 2026 01:00:00 GMT", calls=1, asked=3600, seconds=0.1),
    "429, in bad words": limiting("soon", calls=3),
    "429, without a word": limiting(None, calls=3),
    "silent": Failure(fault=ApiFault(kind=FaultKind.HOLD), calls=2),
    "slow": Failure(fault=ApiFault(kind=FaultKind.SLOW, seconds=20), calls=2),
    "dripping": Failure(fault=ApiFault(kind=FaultKind.DRIP, seconds=20), calls=2),
    "401": useless(FaultKind.ERROR, 401),
    "403": useless(FaultKind.ERROR, 403),
    "400": useless(FaultKind.ERROR, 400),
    "422": useless(FaultKind.ERROR, 422),
    "a page": useless(FaultKind.HTML),
    "a page that says 404": useless(FaultKind.HTML, 404),
    "cut off": useless(FaultKind.TRUNCATED),
    "another user": useless(FaultKind.WRONG_USER),
    "a list": useless(FaultKind.RAW, body="[]"),
    "null": useless(FaultKind.RAW, body="null"),
    "without fields": useless(FaultKind.RAW, body="{}"),
    "nothing": useless(FaultKind.RAW, 204),
    "elsewhere": useless(FaultKind.REDIRECT),
    "two megabytes": useless(FaultKind.HUGE),
    "compressed": useless(FaultKind.GZIP_BOMB),
}

DIFFERENT_IN_KIND = ("503", "429, in ten", "silent", "401", "a page")


@pytest.mark.parametrize("kind", FAILURES)
@in_virtual_time
async def test_an_unknown_user_gets_503_with_retry_after_in_time_and_nothing_is_written(
    kind: str,
) -> None:
    failure = FAILURES[kind]
    async with scene() as here:
        stranger = here.stranger()
        here.clerk.faults.add(failure.fault)
        told = await here.ask(stranger)
        assert (told.status, told.code) == (503, "identity_provider_unavailable")
        assert told.retry_after == failure.retry_after
        assert told.seconds <= failure.seconds
        assert here.fetches == failure.calls
        assert here.rows(stranger) == 0


@pytest.mark.parametrize("kind", DIFFERENT_IN_KIND)
@in_virtual_time
async def test_a_known_user_is_served_and_clerk_is_not_called(kind: str) -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.faults.add(FAILURES[kind].fault)
        assert await here.ask(known) == Told(status=200, seconds=0.0)
        assert here.asked == []


@pytest.mark.parametrize("kind", DIFFERENT_IN_KIND)
@in_virtual_time
async def test_when_clerk_is_well_again_the_stranger_is_served(kind: str) -> None:
    async with scene() as here:
        stranger = here.stranger()
        here.clerk.faults.add(FAILURES[kind].fault)
        await here.ask(stranger)
        here.clerk.faults.clear()
        # The longest pause that an answer can cause.
        await asyncio.sleep(60)
        assert (await here.ask(stranger)).status == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@in_virtual_time
async def test_trouble_that_passes_costs_the_stranger_only_time(status: int) -> None:
    async with scene() as here:
        here.clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=status, times=2))
        told = await here.ask(here.stranger())
        assert told.status == 200
        assert told.seconds < 1
        assert here.fetches == 3


@in_virtual_time
async def test_the_circuit_opens_probes_once_per_pause_and_closes() -> None:
    async with scene() as here:
        here.fortune.cut_off("clerk", 3600)
        while here.fetches < FAILURES_THAT_OPEN:
            await here.ask(here.stranger())
        assert await calls_of_a_crowd(here) == 0
        for _ in range(3):
            await asyncio.sleep(PAUSE)
            assert await calls_of_a_crowd(here) == 1
        here.fortune.restore()
        await asyncio.sleep(PAUSE)
        assert (await here.ask(here.stranger())).status == 200
        crowd = [here.stranger() for _ in range(10)]
        assert {told.status for told in await here.ask_all(crowd)} == {200}


@in_virtual_time
async def test_an_open_circuit_answers_at_once() -> None:
    async with scene() as here:
        here.clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401))
        await here.ask(here.stranger())
        told = await here.ask(here.stranger())
        assert (told.status, told.retry_after, told.seconds) == (503, 5, 0.0)


@in_virtual_time
async def test_a_404_of_clerk_is_remembered_for_five_seconds_and_leaves_no_row() -> None:
    async with scene() as here:
        nobody = "user_nobody"
        for _ in range(10):
            assert (await here.ask(nobody)).code == "user_unknown"
        assert here.fetches == 1
        await asyncio.sleep(5)
        assert (await here.ask(nobody)).status == 401
        assert here.fetches == 2
        assert here.rows(nobody) == 0


@in_virtual_time
async def test_five_hundred_first_requests_of_one_user_are_one_call() -> None:
    async with scene() as here:
        here.clerk.faults.add(ApiFault(kind=FaultKind.SLOW, seconds=0.5))
        stranger = here.stranger()
        token = here.clerk.session_token(stranger)
        told = await asyncio.gather(*(here.ask(stranger, token) for _ in range(500)))
        assert {one.status for one in told} == {200}
        assert max(one.seconds for one in told) < 0.6
        assert here.fetches == 1


@pytest.mark.parametrize("crowd", [60, pytest.param(500, marks=pytest.mark.slow)])
@in_virtual_time
async def test_many_unknown_users_at_once_never_exceed_clerks_limit(crowd: int) -> None:
    """A development instance: 100 calls in 10 seconds, of which the service takes 60."""
    async with scene(max_rate=60) as here:
        here.limit_rate(100)
        strangers = [here.stranger() for _ in range(crowd)]
        told = await here.ask_all(strangers)
        assert {one.status for one in told} == {200, 503}
        assert all(one.retry_after for one in told if one.status == 503)
        assert max(one.seconds for one in told) <= DEADLINE
        assert [one.status for one in told].count(200) >= 20
        for start in range(0, crowd, 30):
            await asyncio.sleep(5)
            told = await here.ask_all(strangers[start : start + 30])
            assert {one.status for one in told} == {200}
        assert here.clerk.calls.count("GetUser", 429) == 0


async def calls_of_a_crowd(here: Scene) -> int:
    """Thirty unknown users at once, all of which get 503."""
    before = here.fetches
    told = await here.ask_all([here.stranger() for _ in range(30)])
    assert {one.status for one in told} == {503}
    return here.fetches - before
