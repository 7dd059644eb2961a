"""Clerk's signing keys: unreachable, rotated, and requested with made-up ids."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.adapters.clerk.tokens import under_kid
from tests.e2e.conftest import Rotation
from tests.e2e.crowd import Answer, ask_all
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess

COOLDOWN = 30.0
"""Seconds between two fetches of the keys."""
UNKNOWN_KIDS = 10_000
KNOWN = 100
SLOW_FETCH = 1.8
FETCH = "GetPublicJWKS"


async def test_known_users_do_not_notice_that_the_keys_are_out_of_reach(
    clerk: ClerkEmulator, service: ServiceProcess
) -> None:
    arrival = sign_up(clerk)
    await service.deliver(arrival)
    clerk.faults.add(ApiFault(kind=FaultKind.DISCONNECT, on="jwks"))
    answers = [await service.me(clerk.session_token(arrival.user_id)) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert await service.status("/readyz") == 200


@pytest.mark.slow
async def test_a_rotated_key_under_the_same_name_costs_one_fetch_and_no_user_a_session(
    rotation: Rotation,
) -> None:
    clerk, service = rotation.clerk, rotation.service
    await rotation.starting
    arrival = sign_up(clerk)
    await service.deliver(arrival)
    assert (await service.me(clerk.session_token(arrival.user_id))).status_code == 200
    await cooldown_is_over(service)
    clerk.calls.clear()
    clerk.keys.rotate()
    token = clerk.session_token(arrival.user_id)
    answers = await asyncio.gather(*(service.me(token) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert clerk.calls.count(FETCH) == 1


@pytest.mark.slow
async def test_made_up_key_ids_cost_one_fetch_per_cooldown_and_delay_no_request(
    clerk: ClerkEmulator, service: ServiceProcess, record_property: Callable[[str, object], None]
) -> None:
    """And every fetch is slow."""
    arrival = sign_up(clerk)
    await service.deliver(arrival)
    token = clerk.session_token(arrival.user_id)
    await cooldown_is_over(service)
    undisturbed = await ask_all([(service, token)] * KNOWN, at_once=1)
    clerk.calls.clear()
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="jwks", seconds=SLOW_FETCH))

    names = [under_kid(token, f"ins_{number}") for number in range(UNKNOWN_KIDS)]
    began = time.monotonic()
    strangers, known = await asyncio.gather(
        ask_all([(service, name) for name in names], at_once=16),
        ask_all([(service, token)] * KNOWN, at_once=1),
    )
    assert {answer.status for answer in strangers} == {401}
    assert 1 <= clerk.calls.count(FETCH) <= 1 + (time.monotonic() - began) // COOLDOWN
    assert {answer.status for answer in known} == {200}
    assert max(answer.seconds for answer in known) < SLOW_FETCH / 2
    ratio = median(known) / median(undisturbed)
    record_property("made-up names", {"asked": UNKNOWN_KIDS, "fetches": clerk.calls.count(FETCH)})
    record_property("known users' median, attacked to undisturbed", round(ratio, 1))


def median(answers: list[Answer]) -> float:
    return statistics.median(answer.seconds for answer in answers)


async def cooldown_is_over(service: ServiceProcess) -> None:
    """The keys were fetched when the service started, and then not again."""
    await asyncio.sleep(service.ready_since + COOLDOWN - time.monotonic())
