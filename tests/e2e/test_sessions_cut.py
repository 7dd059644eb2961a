"""Postgres stays up, and ends the service's sessions or refuses writes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users, sign_up
from tests.e2e.processes import ServiceProcess, eventually
from tests.e2e.sessions import end_sessions, read_only
from tests.e2e.truth import assert_redelivery_settles_all, unrecorded
from tests.postgres_server import Sql

ROUNDS = 5
POOL_SIZE = 10


async def test_sessions_ended_under_load_cost_hardly_an_answer_and_no_acknowledged_delivery(
    clerk: ClerkEmulator, service: ServiceProcess, sql: Sql
) -> None:
    """A busy machine may refuse some more, because opening sessions takes longer.

    Sessions end again only after the tries of earlier requests: a batch that meets an end at each
    of its tries is refused, with all its deliveries.
    """
    ended, before = 0, len(service.log())
    async with Load(service, lives_of_users(clerk)) as load:
        for _ in range(ROUNDS):
            await load.acknowledged(50)
            ended += await end_sessions(sql)
            await asyncio.sleep(0.5)
        await load.acknowledged(50)

    assert {one.status for one in load.attempts} <= {204, 503}
    refusals = [line for line in service.log()[before:] if line.get("status") == 503]
    of_their_end = [line for line in refusals if "in time" not in line.get("cause", "")]
    assert len(of_their_end) < ended / 5
    assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
    await assert_redelivery_settles_all(load, clerk, sql)


@pytest.mark.usefixtures("ended_afterwards")
async def test_a_read_only_store_still_serves_known_users_and_is_written_to_once_it_may_be(
    clerk: ClerkEmulator, service: ServiceProcess, sql: Sql
) -> None:
    """As after a failover: the sessions outlive the primary's right to write."""
    known, late = sign_up(clerk), sign_up(clerk)
    assert (await service.deliver(known)).status_code == 204
    token = clerk.session_token(known.user_id)

    async def it_says_so() -> bool:
        answer = await service.http.get("/readyz")
        return answer.status_code == 200 and "store" in answer.json()["degraded"]

    async with read_only(sql):
        refused = await service.deliver(late)
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert (await service.me(token)).status_code == 200
        await eventually(it_says_so)

    answers = [(await service.deliver(late)).status_code]
    while answers[-1] == 503 and len(answers) <= POOL_SIZE:
        answers.append((await service.deliver(late)).status_code)
    assert answers[-1] == 204, "each refusal costs one of the sessions that may not write"


@pytest.fixture
async def ended_afterwards(sql: Sql) -> AsyncIterator[None]:
    """End the read-only sessions before the next test."""
    yield
    await end_sessions(sql)
