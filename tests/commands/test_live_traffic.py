"""Users are created, changed and deleted while an operator repairs the table."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator, Endpoint
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.plans import FaultPlan
from tests.commands.scenes import drift, ids_of, spoil
from tests.commands.terminal import Ended, Terminal
from tests.e2e.people import People
from tests.e2e.processes import ServiceProcess, environment_for, running_process
from tests.postgres_server import Sql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

USERS = 4003
PAUSE = 0.02

WATCH = """
create function going_back() returns trigger language plpgsql as $$
begin
    raise exception 'user % goes back', old.clerk_id using errcode = 'internal_error';
end $$;
create trigger never_back before update on users for each row
when (new.clerk_updated_at < old.clerk_updated_at or old.deleted_at < new.deleted_at
    or (old.deleted_at is not null and new.deleted_at is null))
execute function going_back()
"""
UNWATCH = "drop function if exists going_back cascade"


@pytest.fixture
async def service(
    clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    async with running_process(environment_for(clerk, store_url), tmp_path) as service:
        yield service


@pytest.fixture
async def watched(sql: Sql) -> AsyncIterator[Sql]:
    """A trigger refuses every write that makes a row older, or a tombstone live."""
    await sql.execute(UNWATCH)
    await sql.execute(WATCH)
    yield sql
    await sql.execute(UNWATCH)


@pytest.fixture
def unlucky(clerk: ClerkEmulator, service: ServiceProcess, seed: int) -> ClerkEmulator:
    """Clerk with late, repeated and disordered webhooks, and with slow lists."""
    clerk.create_users(USERS)
    clerk.sender.plans.from_seed(
        FaultPlan(seed=seed, repeat=0.2, delay=0.4, reorder=0.2, longest_delay=0.5)
    )
    endpoint = Endpoint(url=service.webhook_url, secrets=clerk.config.webhook_secrets)
    clerk.sender.add_endpoint(endpoint)
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUserList", seconds=0.4))
    return clerk


async def test_a_backfill_and_a_repair_under_live_traffic_end_in_agreement(
    unlucky: ClerkEmulator, service: ServiceProcess, terminal: Terminal, watched: Sql, seed: int
) -> None:
    chance = random.Random(seed)
    ended = await amid_traffic(unlucky, service, chance, terminal.run("backfill", "--json"))
    assert (ended.code, ended.stderr) == (0, "")
    await settled(unlucky)
    assert await drift(unlucky, watched) == {}

    await watched.execute(UNWATCH)
    await spoil(unlucky, watched, USERS // 2)
    await watched.execute(WATCH)
    repair = terminal.run("reconcile", "--full", "--repair", "--json")
    ended = await amid_traffic(unlucky, service, chance, repair)
    assert (ended.code, ended.stderr) == (0, "")
    await settled(unlucky)
    assert await drift(unlucky, watched) == {}


async def test_a_replay_under_live_traffic_overwrites_nothing_newer(
    unlucky: ClerkEmulator, service: ServiceProcess, terminal: Terminal, watched: Sql, seed: int
) -> None:
    chance = random.Random(seed)
    await amid_traffic(unlucky, service, chance, terminal.run("backfill", "--json"))
    replay = terminal.run("journal", "--yes", "--json")
    ended = await amid_traffic(unlucky, service, chance, replay)
    assert (ended.code, ended.stderr) == (0, "")
    assert sum(ended.outcomes.values()) > 100
    await settled(unlucky)
    assert await drift(unlucky, watched) == {}


async def settled(clerk: ClerkEmulator) -> None:
    clerk.sender.heal()
    await clerk.sender.settled(60)


async def amid_traffic(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    chance: random.Random,
    command: Coroutine[Any, Any, Ended],
) -> Ended:
    """Change users at Clerk until the command has ended; some make their first request."""
    people = People(clerk, chance, present=ids_of(clerk))
    running, requests = asyncio.ensure_future(command), []
    while not running.done():
        people.step()
        if chance.random() < 0.4:
            who = chance.choice([people.ids[-1], chance.choice(people.ids)])
            requests.append(asyncio.ensure_future(service.me(clerk.session_token(who))))
        await asyncio.sleep(PAUSE)
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} <= {200, 401, 403}
    return running.result()
