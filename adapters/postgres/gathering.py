"""Deliveries that arrive together share one statement, each answered after its commit."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import StorageUnavailable, Unstorable
from domain.observation import SyncResult, SyncUser

PAGES_AT_ONCE = 2
LONGEST_PAGE = 50

Alone = Callable[[SyncUser], Awaitable[SyncResult]]
Together = Callable[[Sequence[SyncUser]], Awaitable[Mapping[int, SyncResult]]]
"""The results by place in the page. Who has none has to be asked for alone."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    command: SyncUser
    answer: "asyncio.Future[SyncResult]"

    def succeed(self, result: SyncResult) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Gathering:
    """Nobody waits for company: only what arrives while pages are being written goes together.

    Nor does anyone suffer from it. `together` leaves out whoever would have to wait for a lock,
    and what cannot be stored spoils its page: all of these are then written alone.
    """

    def __init__(self, alone: Alone, together: Together, *, patience: float) -> None:
        self._alone = alone
        self._together = together
        self._patience = patience
        self._waiting: list[_Waiting] = []
        self._pages = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, command: SyncUser) -> SyncResult:
        """Raises as `alone` does, and `StorageUnavailable` after `patience` seconds in all."""
        answer: asyncio.Future[SyncResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(command, answer))
        self._begin()
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            raise StorageUnavailable("waited too long for the others") from None

    def _begin(self) -> None:
        if self._waiting and self._pages < PAGES_AT_ONCE:
            self._pages += 1
            self._spawn(self._write_page(self._next_page()))

    def _next_page(self) -> list[_Waiting]:
        """Each user and each svix id at most once: the statement can take no more."""
        page: list[_Waiting] = []
        later: list[_Waiting] = []
        taken: set[str] = set()
        for waiting in self._waiting:
            if waiting.answer.done():
                continue
            keys = keys_of(waiting.command)
            fits = len(page) < LONGEST_PAGE and taken.isdisjoint(keys)
            (page if fits else later).append(waiting)
            taken.update(keys)
        self._waiting = later
        return page

    async def _write_page(self, page: list[_Waiting]) -> None:
        try:
            results = await self._results(page)
        except Exception as error:  # noqa: BLE001 - it is the callers' to handle
            for waiting in page:
                waiting.fail(error)
        else:
            self._hand_out(page, results)
        finally:
            self._pages -= 1
            self._begin()

    async def _results(self, page: list[_Waiting]) -> Mapping[int, SyncResult]:
        try:
            return await self._together([waiting.command for waiting in page])
        except Unstorable:
            if len(page) == 1:
                raise
            return {}

    def _hand_out(self, page: list[_Waiting], results: Mapping[int, SyncResult]) -> None:
        for place, waiting in enumerate(page):
            if place in results:
                waiting.succeed(results[place])
            else:
                self._spawn(self._write_alone(waiting))

    async def _write_alone(self, waiting: _Waiting) -> None:
        try:
            waiting.succeed(await self._alone(waiting.command))
        except Exception as error:  # noqa: BLE001 - it is the caller's to handle
            waiting.fail(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop alone would let go of it
        task.add_done_callback(self._tasks.discard)


def keys_of(command: SyncUser) -> list[str]:
    """What a statement can take only once: the user, and the delivery."""
    delivery = command.delivery
    return [command.change.clerk_id, *([f"delivery {delivery.svix_id}"] if delivery else [])]
