"""Several replicas on one store, with all observations of one user at the same time."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.bootstrap import operations
from service.services import backfill_of
from tests.e2e.messages import Message, deletion, sign_up, update
from tests.e2e.processes import ServiceProcess, environment_for, running_processes
from tests.e2e.truth import differences
from tests.postgres_server import Sql
from tests.running import settings_for

Record = Callable[[str, object], None]

COPIES = 100
TRIALS = 12
SLOW_TRIALS = 400
AT_ONCE = 4
LATE_FETCH = 0.02
"""Seconds after which Clerk's answer arrives."""

DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
STATISTICS_LAG = 1.1
"""Seconds until the counters of a session are in Postgres' statistics."""


@pytest.fixture
async def four_services(
    clerk: ClerkEmulator, store: str, tmp_path: Path
) -> AsyncIterator[list[ServiceProcess]]:
    """Replicas that also reconcile every second."""
    environment = environment_for(clerk, store, RECONCILE_EVERY="1")
    async with running_processes(*[environment] * 4, directory=tmp_path) as replicas:
        yield replicas


async def test_one_delivery_a_hundred_times_at_two_replicas_is_applied_once(
    clerk: ClerkEmulator, services: list[ServiceProcess], sql: Sql
) -> None:
    message = sign_up(clerk)
    answers = await asyncio.gather(
        *(services[copy % len(services)].deliver(message) for copy in range(COPIES))
    )
    assert {answer.status_code for answer in answers} == {204}
    [entry] = await sql.fetch(
        "select outcome, deliveries from sync_journal where clerk_id = $1", message.user_id
    )
    assert tuple(entry) == ("created", COPIES)
    assert await differences(clerk, sql, [message.user_id]) == {}


async def test_a_deletion_wins_every_race(
    clerk: ClerkEmulator,
    services: list[ServiceProcess],
    sql: Sql,
    record_property: Record,
) -> None:
    """First requests, webhooks and their repetitions, at two replicas."""
    before = await sql.fetchval(DEADLOCKS)
    ended = await race(clerk, services, TRIALS)
    await assert_all_are_gone(clerk, sql, ended, before)
    record_property("races", dict(ended.outcomes))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_deletion_wins_at_four_replicas_that_reconcile_during_a_backfill(
    clerk: ClerkEmulator,
    four_services: list[ServiceProcess],
    store: str,
    sql: Sql,
    record_property: Record,
) -> None:
    before = await sql.fetchval(DEADLOCKS)
    backfills = asyncio.create_task(backfill_for_ever(clerk, store))
    ended = await race(clerk, four_services, SLOW_TRIALS)
    backfills.cancel()
    await asyncio.wait([backfills])
    assert backfills.cancelled()
    await assert_all_are_gone(clerk, sql, ended, before)
    record_property("races", dict(ended.outcomes))


class Ended:
    """The participants, and the number of each answer."""

    def __init__(self) -> None:
        self.user_ids: list[str] = []
        self.outcomes: Counter[str] = Counter()


async def race(clerk: ClerkEmulator, services: Sequence[ServiceProcess], trials: int) -> Ended:
    """A number of users, each with all observations at once."""
    seed = secrets.randbelow(2**32)
    print(f"SEED={seed}")
    chance, ended, places = random.Random(seed), Ended(), asyncio.Semaphore(AT_ONCE)
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=LATE_FETCH))

    async def bounded() -> None:
        async with places:
            await trial(clerk, services, chance, ended)

    await asyncio.gather(*(bounded() for _ in range(trials)))
    clerk.faults.clear()
    return ended


async def trial(
    clerk: ClerkEmulator, services: Sequence[ServiceProcess], chance: random.Random, ended: Ended
) -> None:
    """A first request at every replica; the user is deleted while Clerk answers it."""
    arrival = sign_up(clerk)
    change = update(clerk, arrival.user_id)
    ended.user_ids.append(arrival.user_id)
    token = clerk.session_token(arrival.user_id)
    asking = [asyncio.create_task(ask(service, token)) for service in services]
    await asyncio.sleep(chance.uniform(0, 2 * LATE_FETCH))
    messages = [arrival, change, deletion(clerk, arrival.user_id)] * 2
    chance.shuffle(messages)
    told = await asyncio.gather(
        *(deliver(chance.choice(services), message) for message in messages)
    )
    assert set(told) == {204}
    for answer in await asyncio.gather(*asking):
        ended.outcomes[answer.json().get("code", "served")] += 1
    after = await asyncio.gather(*(ask(service, token) for service in services))
    assert {(one.status_code, one.json()["code"]) for one in after} == {(401, "user_deleted")}


async def deliver(service: ServiceProcess, message: Message) -> int:
    """Repeat while the store is too busy, as Svix does."""
    while (answer := await service.deliver(message)).status_code == 503:
        await asyncio.sleep(0.05)
    return answer.status_code


async def ask(service: ServiceProcess, token: str) -> httpx.Response:
    """Repeat while the store or Clerk is too busy."""
    while (answer := await service.me(token)).status_code == 503:
        await asyncio.sleep(0.05)
    return answer


async def backfill_for_ever(clerk: ClerkEmulator, store: str) -> None:
    """Run backfills as an operator's command does, again and again."""
    async with operations(settings_for(clerk, store)) as parts:
        backfill = backfill_of(parts.store, parts.clerk)
        while True:
            await backfill.run(lambda _outcomes, _left_out: None)


async def assert_all_are_gone(clerk: ClerkEmulator, sql: Sql, ended: Ended, deadlocks: int) -> None:
    """Check that each user is a tombstone without bodies, without deadlocks, and that all answers
    are ours.
    """
    assert await differences(clerk, sql, ended.user_ids) == {}
    bodies = "select count(*) from sync_journal where clerk_id = any ($1) and body is not null"
    assert await sql.fetchval(bodies, ended.user_ids) == 0
    assert ended.outcomes.keys() <= {"served", "user_deleted", "user_unknown"}
    await asyncio.sleep(STATISTICS_LAG)
    await sql.execute("select pg_stat_clear_snapshot()")
    assert await sql.fetchval(DEADLOCKS) == deadlocks
