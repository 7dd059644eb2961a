"""Hours of ordinary traffic with one fault a minute: nothing is lost, nothing accumulates.

`SOAK_MINUTES=60 make test-slow PYTEST_ARGS=tests/e2e/test_soak.py`; three by default.
"""

import asyncio
import os
import random
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator, Endpoint
from scripts.clerk_emulator.deliveries import DeliveryStatus
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.plans import FaultPlan
from tests.e2e.people import People
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.sessions import end_sessions, read_only
from tests.e2e.truth import differences, states_of_sessions, unrecorded
from tests.postgres_server import Sql, temporary_database
from tests.running import svix_headers

MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 + 600)]

A_SECOND = 50
"""Deliveries and requests together."""

WARM_UP = 30.0
MEBIBYTE = 1024 * 1024
CUT_OFF = 0
STRANGER = "whsec_" + "C" * 32
CLIENTS_KEPT_ALIVE = 65.0
MOST_DESCRIPTORS = 16
"""More than before, at rest."""

MOST_MEMORY = 48
"""MiB more than before: what is remembered of proven tokens is not full after the warm-up."""

MOST_AN_HOUR = 6
"""MiB, once it is."""


@dataclass
class Life:
    """The traffic, and its results."""

    clerk: ClerkEmulator
    service: ServiceProcess
    chance: random.Random
    people: People
    statuses: dict[int, int] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)
    requests: "set[asyncio.Task[None]]" = field(default_factory=set)

    def step(self) -> None:
        """A user is created, changed or deleted, or makes a request; or a delivery is forged."""
        drawn = self.chance.random()
        if drawn < 0.5 or not self.people.ids:
            self.people.step()
        elif drawn < 0.9:
            who = self.chance.choice(self.people.ids[-500:])
            self._spawn(self.service.me(self.clerk.session_token(who)))
        else:
            self._spawn(self._forged())

    async def _forged(self) -> httpx.Response:
        headers = svix_headers(STRANGER, b"{}")
        return await self.service.http.post("/webhooks/clerk", content=b"{}", headers=headers)

    def _spawn(self, request: Awaitable[httpx.Response]) -> None:
        task = asyncio.create_task(self._count(request))
        self.requests.add(task)
        task.add_done_callback(self.requests.discard)

    async def _count(self, request: Awaitable[httpx.Response]) -> None:
        try:
            status = (await request).status_code
        except httpx.TransportError:
            status = CUT_OFF
        self.statuses[status] = self.statuses.get(status, 0) + 1


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("SOAK_SEED", secrets.randbelow(2**32)))
    print(f"SOAK_SEED={seed}")
    return seed


@dataclass(frozen=True)
class World:
    clerk: ClerkEmulator
    service: ServiceProcess
    network: Proxy
    sql: Sql


@pytest.fixture
async def world(clerk: ClerkEmulator, postgres_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A service whose store is behind a network that can fail."""
    async with (
        temporary_database(postgres_url, f"soak_{os.getpid()}") as url,
        proxied(url) as network,
        running_process(
            environment_for(clerk, network.url, LOG_LEVEL="error"), tmp_path
        ) as service,
    ):
        sql = await asyncpg.connect(url)
        endpoint = Endpoint(url=service.webhook_url, secrets=clerk.config.webhook_secrets)
        clerk.sender.add_endpoint(endpoint)
        yield World(clerk, service, network, sql)
        clerk.sender.endpoints.clear()
        await sql.close()


async def _sessions_end(world: World) -> None:
    await end_sessions(world.sql)


async def _connections_break(world: World) -> None:
    world.network.reset()


async def _the_network_is_slow(world: World) -> None:
    world.network.delay = 0.2
    await asyncio.sleep(5)
    world.network.heal()


async def _the_network_is_dead(world: World) -> None:
    world.network.stall()
    await asyncio.sleep(10)
    world.network.heal()


async def _the_store_is_read_only(world: World) -> None:
    async with read_only(world.sql):
        await asyncio.sleep(5)
    await end_sessions(world.sql)


async def _the_table_is_locked(world: World) -> None:
    async with world.sql.transaction():
        await world.sql.execute("lock table users in access exclusive mode")
        await asyncio.sleep(5)


async def _clerk_fails(world: World) -> None:
    world.clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=503, on="all"))
    await asyncio.sleep(10)
    world.clerk.faults.clear()


async def _clerk_limits(world: World) -> None:
    world.clerk.faults.add(ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="5", times=5))


MISFORTUNES: list[Callable[[World], Awaitable[None]]] = [
    _sessions_end,
    _connections_break,
    _the_network_is_slow,
    _the_network_is_dead,
    _the_store_is_read_only,
    _the_table_is_locked,
    _clerk_fails,
    _clerk_limits,
]


@asynccontextmanager
async def one_misfortune_a_minute(world: World, chance: random.Random) -> AsyncIterator[None]:
    """The first ten seconds from now; each of them as often as any other."""

    async def go_on() -> None:
        while True:
            for misfortune in chance.sample(MISFORTUNES, len(MISFORTUNES)):
                await asyncio.sleep(10)
                await misfortune(world)
                await asyncio.sleep(50 if len(MISFORTUNES) < MINUTES else 5)

    going_on = asyncio.create_task(go_on())
    yield
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    world.network.heal()
    world.clerk.faults.clear()


async def test_under_regular_faults_nothing_is_lost_and_nothing_accumulates(
    world: World, seed: int, record_property: Callable[[str, object], None]
) -> None:
    clerk, service, chance = world.clerk, world.service, random.Random(seed)
    clerk.sender.plans.from_seed(
        FaultPlan(seed=seed, drop=0.02, repeat=0.1, delay=0.2, reorder=0.1, longest_delay=2)
    )
    life = Life(clerk, service, chance, People(clerk, chance))
    await lived(life, WARM_UP)
    await settled(clerk)
    descriptors, memory = service.descriptors, service.memory
    life.memory.clear()
    async with one_misfortune_a_minute(world, chance):
        await lived(life, MINUTES * 60)
    await settled(clerk)

    grown, slope = (service.memory - memory) / MEBIBYTE, an_hour(life.memory)
    record_property("minutes, seed", f"{MINUTES:g}, {seed}")
    record_property("deliveries", len(clerk.sender.messages))
    record_property("answers", dict(sorted(life.statuses.items())))
    record_property("memory, MiB", f"{memory / MEBIBYTE:.1f} and {grown:+.1f}")
    record_property("of it an hour, in the second half", f"{slope:+.1f}")
    assert set(life.statuses) <= {200, 400, 401, 403, 503, CUT_OFF}
    # None, unless the whole machine was suspended for longer than the timeouts.
    assert life.statuses.get(CUT_OFF, 0) <= sum(life.statuses.values()) / 1000
    assert await unrecorded(world.sql, acknowledged(clerk)) == set()
    assert await differences(clerk, world.sql, life.people.ids) == {}
    assert grown < MOST_MEMORY
    assert slope < MOST_AN_HOUR or MINUTES < 30

    async def all_is_given_back() -> bool:
        at_work = set(await states_of_sessions(world.sql)) - {"idle"}
        return not at_work and service.descriptors < descriptors + MOST_DESCRIPTORS

    await eventually(all_is_given_back, CLIENTS_KEPT_ALIVE + 30)


async def lived(life: Life, seconds: float) -> None:
    """A number of events a second, with a bound on those in flight."""
    started, done = time.monotonic(), 0
    looked = started
    while (passed := time.monotonic() - started) < seconds:
        while done < passed * A_SECOND and len(life.requests) < 200:
            life.step()
            done += 1
        done = max(done, int(passed * A_SECOND) - A_SECOND)
        if time.monotonic() - looked > 5:
            looked = time.monotonic()
            life.memory.append((looked, life.service.memory))
        await asyncio.sleep(0.01)
    await asyncio.gather(*life.requests)


def an_hour(memory: list[tuple[float, int]]) -> float:
    """By how many MiB it grew, by the line that fits the second half best."""
    half = memory[len(memory) // 2 :]
    fit = statistics.linear_regression(*zip(*half, strict=True))
    return fit.slope * 3600 / MEBIBYTE


async def settled(clerk: ClerkEmulator) -> None:
    """Deliver everything, as Svix's replay would."""
    clerk.sender.heal()
    await clerk.sender.settled(300)


def acknowledged(clerk: ClerkEmulator) -> set[str]:
    return {
        message.svix_id
        for message in clerk.sender.messages.values()
        if any(one.status is DeliveryStatus.DELIVERED for one in message.deliveries)
    }
