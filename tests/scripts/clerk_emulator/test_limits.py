"""Clerk's rate limit and the count of calls."""

import asyncio
from dataclasses import dataclass

import httpx

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.limits import RateLimit
from tests.e2e.processes import eventually
from tests.scripts.clerk_emulator.conftest import client_of
from tests.scripts.clerk_emulator.examples import example


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_calls_up_to_the_limit_are_admitted() -> None:
    limit = RateLimit(3, 10.0, Seconds())

    assert [limit.refused_for() for _ in range(4)] == [None, None, None, 10]


def test_the_window_slides() -> None:
    seconds = Seconds()
    limit = RateLimit(2, 10.0, seconds)
    limit.refused_for()
    seconds.now = 6.0
    limit.refused_for()

    refused_for = limit.refused_for()
    seconds.now = 10.0

    assert refused_for == 4
    assert [limit.refused_for() for _ in range(2)] == [None, 6]


def test_a_refused_call_does_not_count() -> None:
    seconds = Seconds()
    limit = RateLimit(1, 10.0, seconds)
    limit.refused_for()
    for second in range(1, 10):
        seconds.now = float(second)
        limit.refused_for()

    seconds.now = 10.0

    assert limit.refused_for() is None


def test_without_a_limit_every_call_is_admitted() -> None:
    limit = RateLimit(None, 10.0)

    assert {limit.refused_for() for _ in range(1000)} == {None}


async def test_over_the_quota_clerk_answers_429_with_retry_after(
    limited: ClerkEmulator,
) -> None:
    limited.rate_limit = RateLimit(3, 10.0, Seconds())
    async with client_of(limited) as api:
        responses = [await api.get("/v1/users") for _ in range(4)]

    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert responses[-1].headers["retry-after"] == "10"
    assert responses[-1].json()["errors"] == example("error_429_too_many_requests")["errors"]


async def test_the_keys_are_never_limited(limited: ClerkEmulator) -> None:
    async with client_of(limited) as api:
        statuses = {(await api.get("/v1/jwks")).status_code for _ in range(10)}

    assert statuses == {200}


async def test_a_call_with_a_wrong_key_does_not_count(limited: ClerkEmulator) -> None:
    async with client_of(limited) as api:
        for _ in range(10):
            await api.get("/v1/users", headers={"Authorization": "Bearer sk_test_wrong"})
        response = await api.get("/v1/users")

    assert response.status_code == 200


async def test_calls_are_counted_by_operation_and_status(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    await api.get("/v1/users")
    await api.get("/v1/users/user_nobody")
    await api.get("/v1/users/user_nobody")

    assert emulator.calls.count() == 3
    assert emulator.calls.count("GetUser") == 2
    assert emulator.calls.count("GetUser", 404) == 2
    assert emulator.calls.count("GetUser", 200) == 0


async def test_the_peak_of_concurrent_calls_is_known(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    emulator.faults.add(ApiFault(kind=FaultKind.HOLD))

    asking = [asyncio.create_task(api.get("/v1/users")) for _ in range(7)]
    await eventually(lambda: emulator.calls.peak("GetUserList") == 7)
    emulator.faults.clear()
    await asyncio.gather(*asking)
    await api.get("/v1/users")

    assert emulator.calls.peak("GetUserList") == 7


async def test_a_call_in_flight_during_clear_is_not_counted(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    emulator.faults.add(ApiFault(kind=FaultKind.HOLD))
    asking = asyncio.create_task(api.get("/v1/users"))
    await eventually(lambda: emulator.calls.peak("GetUserList") == 1)

    emulator.calls.clear()
    emulator.faults.clear()
    await asking

    assert (emulator.calls.count(), emulator.calls.peak("GetUserList")) == (0, 0)
