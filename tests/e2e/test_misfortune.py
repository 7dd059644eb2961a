"""Two replicas, webhooks lost, repeated, late and out of order, a Clerk that fails, and people who
come, change and go meanwhile.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from scripts.clerk_emulator import ClerkEmulator, Endpoint
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.plans import FaultPlan
from tests.e2e.people import People
from tests.e2e.processes import ServiceProcess
from tests.e2e.truth import differences
from tests.postgres_server import Sql

STEPS = 120
PAUSE = 0.005
FAULTS = [
    ApiFault(kind=FaultKind.ERROR, status=503, times=4),
    ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="1", times=2),
    ApiFault(kind=FaultKind.SLOW, seconds=0.3, times=10),
    ApiFault(kind=FaultKind.WRONG_USER, times=3),
    ApiFault(kind=FaultKind.ERROR, status=500, times=3),
    ApiFault(kind=FaultKind.TRUNCATED, times=3),
]


@pytest.fixture
async def unlucky_clerk(
    clerk: ClerkEmulator, services: list[ServiceProcess], seed: int
) -> AsyncIterator[ClerkEmulator]:
    """Both replicas get every message, each with other faults."""
    clerk.sender.plans.from_seed(
        FaultPlan(seed=seed, drop=0.15, repeat=0.2, delay=0.4, reorder=0.2, longest_delay=0.3)
    )
    for service in services:
        clerk.sender.add_endpoint(
            Endpoint(url=service.webhook_url, secrets=clerk.config.webhook_secrets)
        )
    yield clerk
    clerk.sender.endpoints.clear()


@pytest.mark.slow
async def test_two_replicas_agree_with_clerk_after_all_faults_end(
    unlucky_clerk: ClerkEmulator,
    services: list[ServiceProcess],
    sql: Sql,
    seed: int,
) -> None:
    clerk, chance = unlucky_clerk, random.Random(seed)
    people = People(clerk, chance)
    clerk.faults.add(*chance.sample(FAULTS, len(FAULTS)))
    requests = []
    for _ in range(STEPS):
        people.step()
        if chance.random() < 0.4:
            who = chance.choice([people.ids[-1], chance.choice(people.ids)])
            token = clerk.session_token(who)
            requests.append(asyncio.create_task(chance.choice(services).me(token)))
        await asyncio.sleep(PAUSE)
    answers = await asyncio.gather(*requests)
    unhealed = await differences(clerk, sql, people.ids)

    clerk.faults.clear()
    clerk.sender.heal()
    await clerk.sender.settled(30)
    assert {answer.status_code for answer in answers} <= {200, 401, 403, 503}
    assert unhealed, "there was no misfortune"
    assert await differences(clerk, sql, people.ids) == {}
