"""Ten thousand users, while replicas and workers are killed: the effects, counted from outside.

The effects are rows of another database, written by handlers in workers, by a receiver of pushes
and by a reader of `/v1/changes`. Nothing of the service counts them.
"""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.commands.terminal import Terminal
from tests.e2e.change_handlers import EVERY_SOURCE, USUAL_SOURCES
from tests.e2e.effects import EFFECTS, judge, recorded
from tests.e2e.load import Load
from tests.e2e.processes import (
    STARTS_WITHIN,
    ServiceProcess,
    environment_for,
    eventually,
    running_processes,
)
from tests.e2e.push_receiver import SECRET, receiver_of_pushes
from tests.e2e.trial import Lives, Reader, in_background, kill_at_random, make_requests
from tests.e2e.truth import differences
from tests.e2e.workers import Workers, workers_on
from tests.postgres_server import Sql, temporary_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

USERS = 10_000
TOKEN = "a-token-for-readers-of-changes-of-some-length"
MOST_REPEATED = 100
"""Effects, for each process that was killed: those in hand, and those since the last save."""

SUBSCRIPTIONS = {"steady": EVERY_SOURCE, "moody": USUAL_SOURCES, "crm": EVERY_SOURCE}


@dataclass(frozen=True)
class Stage:
    """Replicas and workers on one store, and the database of the effects."""

    clerk: ClerkEmulator
    sql: Sql
    effects: Sql
    replicas: list[ServiceProcess]
    workers: Workers
    terminal: Terminal


@pytest.fixture
async def stage(
    signing_key: RSAPrivateKey, postgres_url: str, store_url: str, sql: Sql, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with (
        running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk,
        temporary_database(postgres_url, f"effects_{uuid4().hex}") as effects_url,
        _connected(effects_url) as effects,
    ):
        await effects.execute(EFFECTS)
        environment = environment_for(clerk, store_url, CLERK_RATE_LIMIT="100000")
        async with (
            receiver_of_pushes(effects_url) as address,
            running_processes(
                *[{**environment, **_tells_changes_to(address)}] * 2, directory=tmp_path
            ) as replicas,
            workers_on(clerk, store_url, effects_url, tmp_path) as workers,
        ):
            terminal = Terminal(environment, tmp_path)
            yield Stage(clerk, sql, effects, replicas, workers, terminal)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


def _tells_changes_to(address: str) -> dict[str, str]:
    crm = {"name": "crm", "url": address, "secrets": [SECRET], "begin": "oldest"}
    return {
        "CHANGES_TOKEN": TOKEN,
        "CHANGES_PUSH": json.dumps([{**crm, "sources": EVERY_SOURCE}]),
        "CHANGES_PUSH_PRIVATE": "1",
        "JIT_DEADLINE": "10",
    }


async def test_ten_thousand_users_amid_kills_have_each_effect_in_order_and_by_its_key_once(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    seed = secrets.randbelow(2**32)
    record_property("seed", seed)
    chance = random.Random(seed)
    lives, reader = Lives(stage.clerk, chance, USERS), Reader(stage.replicas, TOKEN)
    async with in_background(make_requests(lives, stage.replicas), reader.read()):
        killed = await live_amid_kills(stage, lives, chance)
        await eventually(lambda: is_through(stage.sql, reader), 120)
        assert await stage.workers.stop() == [0, 0]
    await assert_as_at_clerk(stage, lives.ids)
    changes = await recorded(stage.sql, EVERY_SOURCE)
    record_property("processes killed", killed)
    record_property("changes", len(reader.told))
    assert [fact.position for _, fact in reader.told] == list(range(1, len(reader.told) + 1))
    assert reader.by_user() == changes
    for name, sources in SUBSCRIPTIONS.items():
        repeated = await judge(stage.effects, name, await recorded(stage.sql, sources))
        record_property(f"effects repeated, {name}", repeated)
        assert repeated <= killed * MOST_REPEATED


async def live_amid_kills(stage: Stage, lives: Lives, chance: random.Random) -> int:
    """How many processes were killed. At the end all run again."""
    over = asyncio.Event()
    for _ in range(2):
        stage.workers.start()
    killing = asyncio.create_task(kill_at_random(stage.replicas, stage.workers, chance, over))
    try:
        await all_lives(stage, lives)
    finally:
        over.set()
        killed = await killing
    await asyncio.gather(*(eventually(one.is_ready, STARTS_WITHIN) for one in stage.replicas))
    return killed


async def all_lives(stage: Stage, lives: Lives) -> None:
    """Webhooks and first requests, a backfill amid them, and a repair afterwards."""
    webhooks = lives.webhooks()
    async with (
        Load(stage.replicas[0], webhooks, 16, stubborn=True) as one,
        Load(stage.replicas[1], webhooks, 16, stubborn=True) as other,
    ):
        await eventually(lambda: len(lives.ids) > USERS * 0.4, 900)
        backfill = await stage.terminal.run("backfill", "--json")
        assert (backfill.code, backfill.stderr) == (0, "")
        await asyncio.gather(one.all_sent(), other.all_sent())
    lives.go_on_unheard()
    repair = ("reconcile", "--full", "--repair", "--allow-deletions", str(USERS))
    repaired = await stage.terminal.run(*repair, "--json")
    assert (repaired.code, repaired.stderr) == (0, "")


async def is_through(sql: Sql, reader: Reader) -> bool:
    """Every subscription and the reader have come to the end, and nothing is set aside."""
    through = """
        select count(*) = 3 and bool_and(position = $1)
            and $1 = (select count(*) from user_changes)
            and not exists (select from user_changes_set_aside)
        from user_change_subscriptions
    """
    return bool(await sql.fetchval(through, len(reader.told)))


async def assert_as_at_clerk(stage: Stage, everybody: list[str]) -> None:
    """The table agrees with Clerk, and each user's changes with the user's life and the journal."""
    assert await differences(stage.clerk, stage.sql, everybody) == {}
    changes = await recorded(stage.sql, EVERY_SOURCE)
    assert changes.keys() == set(everybody)
    kinds = {user_id: [fact.kind for fact in facts] for user_id, facts in changes.items()}
    for user_id, its in kinds.items():
        assert its.count("created") + (its == ["deleted"]) == 1, its
        assert "deleted" not in its[:-1], its
        assert (its[-1] == "deleted") == (stage.clerk.users.find(user_id) is None), its
    moved = """
        select clerk_id, array_agg(outcome order by id) from sync_journal
        where outcome in ('created', 'updated', 'deleted') group by clerk_id
    """
    assert kinds == dict(map(tuple, await stage.sql.fetch(moved)))
