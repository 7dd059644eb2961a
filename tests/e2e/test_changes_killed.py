"""Handlers in processes that are killed, effects counted by plain SQL."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.change_handlers import EFFECTS
from tests.e2e.pooler import pgbouncer, pooled
from tests.e2e.processes import ROOT, environment_for
from tests.people import deleted, delivered, new_id, observed, user
from tests.postgres_server import Sql

UNLUCKY = UserId("user_unlucky")


class Workers:
    """Processes of `python -m service work`."""

    def __init__(self, clerk: ClerkEmulator, url: str, effects_url: str, directory: Path) -> None:
        self._environment = {
            **environment_for(clerk, url),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LOG_FORMAT": "json",
            "CHANGE_HANDLERS": "tests.e2e.change_handlers:changes",
            "EFFECTS_URL": effects_url,
        }
        self._directory = directory
        self.running: dict[subprocess.Popen[bytes], Path] = {}
        self._started = 0

    def start(self) -> "subprocess.Popen[bytes]":
        self._started += 1
        log_file = self._directory / f"{self._started}.log"
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "work"],
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.running[process] = log_file
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        del self.running[process]
        process.send_signal(signal.SIGKILL)
        process.wait()

    async def stop(self) -> list[int]:
        """The exit codes of those that run. A process that is still starting is waited for."""
        for log_file in self.running.values():
            async with asyncio.timeout(60):
                while not _has_begun(log_file):
                    await asyncio.sleep(0.1)
        for process in self.running:
            process.terminate()
        return [await asyncio.to_thread(process.wait, 60) for process in self.running]

    def log(self) -> str:
        return "".join(file.read_text() for file in self._directory.glob("*.log"))


def _has_begun(log_file: Path) -> bool:
    return '"event":"working"' in log_file.read_text().replace(" ", "")


@asynccontextmanager
async def workers_on(
    clerk: ClerkEmulator, url: str, effects_url: str, directory: Path
) -> AsyncIterator[Workers]:
    workers = Workers(clerk, url, effects_url, directory)
    try:
        yield workers
    finally:
        for process in list(workers.running):
            if process.poll() is None:
                workers.kill(process)


@pytest.fixture
async def effects(sql: Sql) -> AsyncIterator[Sql]:
    await sql.execute(EFFECTS)
    yield sql
    await sql.execute("drop table effects")


async def lives(database: Database, people: list[UserId]) -> None:
    """Webhooks twice and out of order, first requests and deletions."""
    users = PostgresUserRepository(database)
    for place, one in enumerate(people):
        arrivals = [
            delivered(user(one, updated=1)),
            delivered(user(one, updated=3)),
            observed(user(one, updated=2)),
            *([delivered(deleted(one))] if place % 3 == 0 else []),
        ]
        random.shuffle(arrivals)
        await asyncio.gather(*map(users.sync, arrivals), *map(users.sync, arrivals))


async def eventually(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.1)


async def is_through(sql: Sql) -> bool:
    """Both subscriptions have come to the end, and nothing but the unlucky user is set aside."""
    return bool(
        await sql.fetchval(
            """
            select count(*) = 2 and bool_and(position = (select count(*) from user_changes))
                and not exists (
                    select from user_changes_set_aside where clerk_id <> $1 or state <> 'parked')
            from user_change_subscriptions
            """,
            UNLUCKY,
        )
    )


async def judge(sql: Sql, name: str) -> int:
    """Every change arrived, none was invented, each user's in order. How many came twice."""
    changes = defaultdict(list)
    for row in await sql.fetch("select clerk_id, position from user_changes order by position"):
        changes[row["clerk_id"]].append(row["position"])
    if name == "moody":
        del changes[UNLUCKY]
    seen: dict[str, list[int]] = defaultdict(list)
    repeated = 0
    query = "select clerk_id, position from effects where subscription = $1 order by id"
    for row in await sql.fetch(query, name):
        if row["position"] in seen[row["clerk_id"]]:
            repeated += 1
        else:
            seen[row["clerk_id"]].append(row["position"])
    assert seen == changes
    return repeated


@pytest.mark.parametrize("behind_a_pooler", [False, True], ids=["direct", "pooled"])
async def test_workers_that_are_killed_lose_no_change_and_keep_each_users_order(
    clerk: ClerkEmulator,
    store: str,
    database: Database,
    effects: Sql,
    tmp_path: Path,
    *,
    behind_a_pooler: bool,
) -> None:
    if behind_a_pooler:
        pgbouncer()
    async with (
        pooled(store) if behind_a_pooler else _direct(store) as url,
        workers_on(clerk, url, store, tmp_path) as workers,
    ):
        await PostgresUserRepository(database).sync(delivered(user(UNLUCKY)))
        workers.start()
        for _ in range(5):
            workers.start()
            await lives(database, [new_id() for _ in range(60)])
            await asyncio.sleep(random.random() * 3)
            workers.kill(random.choice(list(workers.running)))
        if len(workers.running) < 2:
            workers.start()
        await eventually(lambda: is_through(effects), 90)
        assert await workers.stop() == [0] * len(workers.running)
        repeated = {name: await judge(effects, name) for name in ("steady", "moody")}
        written = await effects.fetchval("select count(*) from effects")
    assert sum(repeated.values()) < written / 2
    parked = "select position, attempts, error from user_changes_set_aside where state = 'parked'"
    [(position, attempts, error)] = await effects.fetch(parked)
    assert (attempts, error) == (11, "RuntimeError at change_handlers.py:54")
    assert position == await effects.fetchval(
        "select position from user_changes where clerk_id = $1", UNLUCKY
    )
    assert "secret@example.com" not in workers.log()


async def test_another_worker_takes_over_within_seconds_of_a_kill(
    clerk: ClerkEmulator, store: str, database: Database, effects: Sql, tmp_path: Path
) -> None:
    users = PostgresUserRepository(database)
    async with workers_on(clerk, store, store, tmp_path) as workers:

        async def pid_of_the_effect() -> int:
            one = new_id()
            await users.sync(delivered(user(one)))
            query = "select pid from effects where clerk_id = $1 and subscription = 'steady'"
            await eventually(lambda: effects.fetchval(query, one), 60)
            pid: int = await effects.fetchval(query, one)
            return pid

        workers.start()
        first = await pid_of_the_effect()
        workers.start()
        await asyncio.sleep(3)
        assert await pid_of_the_effect() == first
        [holder] = [process for process in workers.running if process.pid == first]
        workers.kill(holder)
        began = time.monotonic()
        assert await pid_of_the_effect() != first
        assert time.monotonic() - began < 12  # the lease is 5 s, and the machine may be busy


@asynccontextmanager
async def _direct(url: str) -> AsyncIterator[str]:
    yield url
