"""Batching: items that arrive while a batch is in flight form the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

from domain.errors import Unstorable

LARGEST_BATCH = 50
MOST_IN_FLIGHT = 4
WORTH_ANOTHER = 16
"""Pending items for which another batch starts beside one that is in flight."""

SLOW_AFTER = 0.01
"""Seconds after which a batch, perhaps on a dead connection, no longer delays the next one."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)  # frozen, it would take three times as long to make
class _Pending(Generic[Item, Result]):
    item: Item
    keys: Sequence[str]
    since: float
    result: "asyncio.Future[Result]"

    def succeed(self, result: Result) -> None:
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class Batching(Generic[Item, Result]):
    """An item runs immediately; items that arrive while a batch is in flight are batched.

    A second batch starts beside one that is in flight if many items are pending: a small batch
    costs more for each item. Up to `at_once` are in flight, and up to `MOST_IN_FLIGHT` if they are
    slow. `together` returns results by index in the batch, and leaves out each item that would have
    to wait for a lock: those items run `alone`. If the store refuses an item (`Unstorable`), each
    item of its batch runs alone. A batch has at most one item of each key. Both functions also get
    the time, on the loop's clock, at which their oldest item arrived.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Item], float], Awaitable[Mapping[int, Result]]],
        *,
        alone: Callable[[Item, float], Awaitable[Result]],
        keys: Callable[[Item], Sequence[str]],
        at_once: int,
    ) -> None:
        self._together = together
        self._alone = alone
        self._keys = keys
        self._at_once = at_once
        self._pending: list[_Pending[Item, Result]] = []
        self._runners = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """The item's result. Raises the errors of `together` and `alone`."""
        loop = asyncio.get_running_loop()
        pending: _Pending[Item, Result] = _Pending(
            item, self._keys(item), loop.time(), loop.create_future()
        )
        self._pending.append(pending)
        if not self._runners or (self._runners < self._at_once and self._are_many):
            self._runners += 1
            _start(self._tasks, self._run_batches())
        return await pending.result

    async def _run_batches(self) -> None:
        """Run batches until no item is pending. As a task it starts in the loop's next turn, so
        that all items of this turn are in its first batch.
        """
        try:
            while self._runners == 1 or self._are_many:
                batch = await self._next_in_turn()
                if not batch:
                    break
                running = _start(self._in_flight, self._run(batch))
                await asyncio.wait([running], timeout=SLOW_AFTER)
        finally:
            self._runners -= 1

    @property
    def _are_many(self) -> bool:
        return len(self._pending) >= WORTH_ANOTHER

    async def _next_in_turn(self) -> list[_Pending[Item, Result]]:
        while len(self._in_flight) >= MOST_IN_FLIGHT:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        batch: list[_Pending[Item, Result]] = []
        later: list[_Pending[Item, Result]] = []
        taken: set[str] = set()
        largest = self._largest()
        for pending in self._pending:
            if pending.result.done():
                continue
            fits = len(batch) < largest and taken.isdisjoint(pending.keys)
            (batch if fits else later).append(pending)
            taken.update(pending.keys)
        self._pending = later
        return batch

    def _largest(self) -> int:
        """The size of the next batch: the pending items are shared among the batches to come.

        If one batch took them all, the store would be idle while the next one is prepared.
        """
        batches = max(1, self._at_once - len(self._in_flight)) if self._are_many else 1
        return min(LARGEST_BATCH, ceil(len(self._pending) / batches))

    async def _run(self, batch: list[_Pending[Item, Result]]) -> None:
        try:
            results = await self._results(batch)
        except Exception as error:  # noqa: BLE001 - the callers handle it
            for pending in batch:
                pending.fail(error)
            return
        for index, pending in enumerate(batch):
            if index in results:
                pending.succeed(results[index])
            else:
                _start(self._tasks, self._run_alone(pending))

    async def _results(self, batch: list[_Pending[Item, Result]]) -> Mapping[int, Result]:
        try:
            return await self._together([pending.item for pending in batch], batch[0].since)
        except Unstorable:
            if len(batch) == 1:
                raise
            return {}

    async def _run_alone(self, pending: _Pending[Item, Result]) -> None:
        try:
            pending.succeed(await self._alone(pending.item, pending.since))
        except Exception as error:  # noqa: BLE001 - the caller handles it
            pending.fail(error)


def _start(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task, and refer to it until it ends: the loop keeps only a weak reference."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
