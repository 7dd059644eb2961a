"""What happens in the trial of changes: lives of users, and the death of processes."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from operator import itemgetter
from typing import Any

import httpx

from domain.cancelling import cancel_all
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.effects import Fact
from tests.e2e.messages import Message, deletion, sign_up, update
from tests.e2e.processes import ServiceProcess
from tests.e2e.workers import Workers
from tests.running import bearer

TOGETHER = 200
"""Users whose webhooks are out of order among each other."""


class Lives:
    """What happens to the users at Clerk, and what of it arrives."""

    def __init__(self, clerk: ClerkEmulator, chance: random.Random, users: int) -> None:
        self._clerk = clerk
        self._chance = chance
        self._users = users
        self.ids: list[str] = []
        self._unheard: set[str] = set()
        self.tokens: asyncio.Queue[str] = asyncio.Queue()
        """Of users who make a request before their first webhook is sent."""

    def webhooks(self) -> Iterator[Message]:
        """Those of every user, twice and out of order; of every tenth user, none."""
        while len(self.ids) < self._users:
            arrivals = [
                (place + self._chance.uniform(0, 2), message)
                for _ in range(TOGETHER)
                for place, message in enumerate(self._life())
                for _ in range(2)
            ]
            for _, message in sorted(arrivals, key=itemgetter(0)):
                yield message

    def go_on_unheard(self) -> None:
        """Some are changed or deleted, and no webhook of it arrives."""
        for user_id in self._chance.sample(self.ids, self._users // 20):
            if self._clerk.users.find(user_id) is None:
                continue
            is_known = user_id not in self._unheard
            leaves = is_known and self._chance.random() < 0.3
            (deletion if leaves else update)(self._clerk, user_id)

    def _life(self) -> list[Message]:
        arrival = sign_up(self._clerk)
        user_id = arrival.user_id
        self.ids.append(user_id)
        if len(self.ids) % 4 == 0:
            self.tokens.put_nowait(self._clerk.session_token(user_id))
        messages = [arrival, update(self._clerk, user_id), update(self._clerk, user_id)]
        if len(self.ids) % 10 == 0:
            self._unheard.add(user_id)
            return []
        if self._chance.random() < 0.3:
            messages.append(deletion(self._clerk, user_id))
        return messages


async def make_requests(lives: Lives, replicas: list[ServiceProcess]) -> None:
    """First requests, of which some find a replica that was just killed."""
    while True:
        token = await lives.tokens.get()
        with suppress(httpx.TransportError):
            answer = await random.choice(replicas).me(token)
            assert answer.status_code in (200, 401, 403, 503), answer.text


async def kill_at_random(
    replicas: list[ServiceProcess],
    workers: Workers,
    chance: random.Random,
    over: asyncio.Event,
) -> int:
    """SIGKILL one process after the other, and start it again. How many there were."""
    killed = 0
    while not over.is_set():
        await asyncio.sleep(chance.uniform(2, 8))
        pause = chance.uniform(0, 1)
        if chance.random() < 0.5:
            replica = chance.choice(replicas)
            await replica.kill()
            await asyncio.sleep(pause)
            replica.spawn()
        else:
            workers.kill(chance.choice(list(workers.running)))
            await asyncio.sleep(pause)
            workers.start()
        killed += 1
    return killed


class Reader:
    """Reads `/v1/changes` of any replica, with a position of its own."""

    def __init__(self, replicas: list[ServiceProcess], token: str) -> None:
        self._replicas = replicas
        self._token = token
        self.told: list[tuple[str, Fact]] = []

    async def read(self) -> None:
        while True:
            with suppress(httpx.TransportError):
                await self._read_page()
            await asyncio.sleep(0.2)

    async def _read_page(self) -> None:
        answer = await random.choice(self._replicas).http.get(
            "/v1/changes",
            params={"after": len(self.told), "limit": 500},
            headers=bearer(self._token),
        )
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            self.told += [
                (one["clerk_id"], Fact(one["position"], one["kind"]))
                for one in answer.json()["changes"]
            ]

    def by_user(self) -> dict[str, list[Fact]]:
        changes: dict[str, list[Fact]] = defaultdict(list)
        for clerk_id, fact in self.told:
            changes[clerk_id].append(fact)
        return changes


@asynccontextmanager
async def in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        assert [task for task in tasks if task.done()] == []
    finally:
        await cancel_all(tasks)
