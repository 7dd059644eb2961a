"""Processes that deliver changes, in virtual time and over a store in memory."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from domain.changes import Change
from domain.deliver_changes import DeliverChanges
from domain.delivery_parts import DeliveryLimits, DeliveryParts
from domain.errors import StorageUnavailable
from domain.newest_position import NewestPosition
from domain.subscriptions import Delivery, Subscription
from domain.user import UserId
from tests.fakes.changes import InMemoryChangeLog
from tests.fakes.store import InMemoryStore
from tests.fakes.subscriptions import InMemorySubscriptions
from tests.people import deleted, new_id, observed, user

Behaviour = Callable[[Delivery], Awaitable[None]]


class Report:
    """What was reported."""

    def __init__(self) -> None:
        self.attempts: list[tuple[int, str | None, bool]] = []
        self.holders: list[bool] = []
        self.behind = 0
        self.paused_because: list[str] = []

    def attempted(
        self, delivery: Delivery, error: str | None, seconds: float, *, parked: bool
    ) -> None:
        assert seconds >= 0
        self.attempts.append((delivery.change.position, error, parked))

    def held(self, subscription: str, *, is_held: bool) -> None:
        assert subscription
        self.holders.append(is_held)

    def fell_behind(self, subscription: str) -> None:
        assert subscription
        self.behind += 1

    def paused(self, subscription: str, reason: str) -> None:
        assert subscription
        self.paused_because.append(reason)


class _Mortal:
    """Passes every call on, until the process dies: then no call ever ends."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.is_dead = False
        self.is_away: Exception | None = None
        self.latency: Callable[[], float] = lambda: 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        async def call(*given: Any, **named: Any) -> Any:
            await self._live()
            await asyncio.sleep(self.latency())
            answer = await method(*given, **named)
            await asyncio.sleep(self.latency())
            await self._live()
            return answer

        return call

    async def _live(self) -> None:
        if self.is_dead:
            await asyncio.Event().wait()
        if self.is_away:
            raise self.is_away


class World:
    """The store, and what arrived at the target: `(position, holder)` in order."""

    def __init__(self) -> None:
        self.store = InMemoryStore()
        self.subscriptions = InMemorySubscriptions(self.store)
        self.log = InMemoryChangeLog(self.store, self.subscriptions)
        self.arrived: list[Delivery] = []
        self.at: list[float] = []

    async def live(self, user_id: UserId, version: int) -> None:
        await self.store.sync(observed(user(user_id, updated=version)))

    async def create(self, number: int) -> list[UserId]:
        people = [new_id() for _ in range(number)]
        for one in people:
            await self.live(one, 1)
        return people

    async def delete(self, user_id: UserId) -> None:
        await self.store.sync(observed(deleted(user_id)))

    @property
    def positions(self) -> list[int]:
        return [delivery.change.position for delivery in self.arrived]

    def of_each_user(self) -> dict[UserId, list[int]]:
        """The positions that arrived, by user, repetitions left out."""
        found: dict[UserId, list[int]] = defaultdict(list)
        for delivery in self.arrived:
            position = delivery.change.position
            if position not in found[delivery.change.clerk_id]:
                found[delivery.change.clerk_id].append(position)
        return found

    def changes(self) -> list[Change]:
        return self.store.changes


class Worker:
    """Start another process."""

    def __init__(
        self,
        world: World,
        *,
        behaviour: Behaviour | None = None,
        holder: str = "us",
        limits: DeliveryLimits | None = None,
        **subscription: Any,
    ) -> None:
        self._world = world
        self._behaviour = behaviour
        self.report = Report()
        self.store = _Mortal(world.subscriptions)
        self.users = _Mortal(world.store)
        newest = NewestPosition(world.log)
        self.parts = DeliveryParts(
            store=self.store,
            users=self.users,
            newest=newest,
            report=self.report,
            holder=holder,
            limits=limits or DeliveryLimits(),
        )
        declared = Subscription(**{"name": "mail", "begin": "oldest", **subscription})
        self.deliver = DeliverChanges(declared, self._arrive, self.parts)
        self._tasks = [asyncio.create_task(newest.watch()), asyncio.create_task(self.deliver())]

    def kill(self) -> None:
        """Kill the process: it does nothing from now on."""
        self.store.is_dead = self.users.is_dead = True

    async def end(self, grace: float = 10.0) -> None:
        """Stop the process; of a killed one, only clean up its tasks."""
        if self.store.is_dead:
            self.store.is_dead, self.store.is_away = False, StorageUnavailable()
        else:
            await self.deliver.stop(grace)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _arrive(self, delivery: Delivery) -> None:
        if self.store.is_dead:
            await asyncio.Event().wait()
        if self._behaviour:
            await self._behaviour(delivery)
        self._world.arrived.append(delivery)
        self._world.at.append(asyncio.get_running_loop().time())


def fails_for(*people: UserId, until: float = float("inf")) -> Behaviour:
    async def behave(delivery: Delivery) -> None:
        now = asyncio.get_running_loop().time()
        if delivery.change.clerk_id in people and now < until:
            raise ValueError("ada@example.com is refused")

    return behave


class History:
    """Handlers fail, hang and are slow; processes die, stop and start; the store goes away."""

    def __init__(self, seed: int) -> None:
        self._fate = random.Random(seed)
        self._world = World()
        self._versions = {new_id(): 0 for _ in range(6)}
        self._started = 0
        self._workers = [self._start(), self._start()]
        self._gone: list[Worker] = []

    async def live(self, rounds: int) -> None:
        for _ in range(rounds):
            await self._users_change()
            await asyncio.sleep(self._fate.random() * self._fate.choice([0.1, 0.1, 3]))
            await self._something_befalls(self._fate.randrange(2))

    async def heal(self) -> None:
        for worker in self._workers:
            worker.store.is_away = None
        for _ in range(8):
            await asyncio.sleep(60)
            await self._world.subscriptions.retry("mail")
        await asyncio.sleep(60)
        for worker in [*self._workers, *self._gone]:
            await worker.end()

    async def judge(self) -> None:
        seen = self._world.of_each_user()
        for one in self._versions:
            positions = [change.position for change in await self._world.log.history(one)]
            assert seen.get(one, []) == positions
            self._judge_order(one, positions)
        [standing] = await self._world.subscriptions.standings()
        assert (standing.waiting, standing.parked) == (0, 0)
        assert standing.position == len(self._world.changes())

    def _judge_order(self, one: UserId, positions: list[int]) -> None:
        """After a repetition the later ones come again too, so none is more than one ahead."""
        last = -1
        for delivery in self._world.arrived:
            if delivery.change.clerk_id == one:
                place = positions.index(delivery.change.position)
                assert place <= last + 1
                last = place

    def _start(self) -> Worker:
        self._started += 1
        worker = Worker(
            self._world,
            holder=f"process {self._started}",
            behaviour=self._behave,
            deadline=5,
            pauses=(0.2, 1, 5),
        )
        worker.store.latency = lambda: self._fate.random() * 0.1
        return worker

    async def _behave(self, _: Delivery) -> None:
        match self._fate.randrange(8):
            case 0:
                raise ValueError
            case 1:
                await asyncio.sleep(60)
            case 2:
                await asyncio.sleep(self._fate.random() * 4)

    async def _users_change(self) -> None:
        for _ in range(self._fate.randrange(4)):
            one = self._fate.choice(list(self._versions))
            self._versions[one] += 1
            await self._world.live(one, self._versions[one])

    async def _something_befalls(self, place: int) -> None:
        worker = self._workers[place]
        match self._fate.randrange(20):
            case 0:
                worker.kill()
                self._gone.append(worker)
                self._workers[place] = self._start()
            case 1:
                worker.store.is_away = None
                await worker.end(grace=self._fate.random())
                self._workers[place] = self._start()
            case 2:
                worker.store.is_away = StorageUnavailable()
            case 3:
                worker.store.is_away = None
