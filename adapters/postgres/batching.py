"""What is asked of the store at the same time goes in one statement, each answered after it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

from domain.errors import Unstorable

LONGEST_PAGE = 50
MOST_OUT = 4
PATIENCE = 0.01
"""Seconds. A page that takes longer, on a connection that is dead perhaps, holds up nobody else."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[Question, Answer]):
    question: Question
    since: float
    answer: "asyncio.Future[Answer]"

    def succeed(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Gathering(Generic[Question, Answer]):
    """Nobody waits for company: only what arrives while pages are out goes together.

    Nor does anyone suffer from it. `at_once` pages are out as long as the store is quick, and
    more, `MOST_OUT` of them, when it is not. `together` answers by place in the page, and leaves
    out whoever would have to wait for a lock; a question that the store refuses spoils its page:
    all of these are asked alone. Of questions with a key in common a page has one. Both ways are
    told since when, on the loop's clock, their longest waiting question waits.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Question], float], Awaitable[Mapping[int, Answer]]],
        *,
        alone: Callable[[Question, float], Awaitable[Answer]],
        keys: Callable[[Question], Iterable[str]],
        at_once: int,
    ) -> None:
        self._together = together
        self._alone = alone
        self._keys = keys
        self._at_once = at_once
        self._waiting: list[_Waiting[Question, Answer]] = []
        self._askers = 0
        self._out: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: Question) -> Answer:
        """Raises as `together` and `alone` do."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Question, Answer] = _Waiting(question, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        if self._askers < self._at_once:
            self._askers += 1
            _keep(self._tasks, self._ask_pages())
        return await waiting.answer

    async def _ask_pages(self) -> None:
        """Begins when everyone who came in the same turn of the loop waits already."""
        try:
            while page := await self._page_in_turn():
                asked = _keep(self._out, self._ask_page(page))
                await asyncio.wait([asked], timeout=PATIENCE)
        finally:
            self._askers -= 1

    async def _page_in_turn(self) -> list[_Waiting[Question, Answer]]:
        while len(self._out) >= MOST_OUT:
            await asyncio.wait(self._out, return_when=asyncio.FIRST_COMPLETED)
        return self._next_page()

    def _next_page(self) -> list[_Waiting[Question, Answer]]:
        page: list[_Waiting[Question, Answer]] = []
        later: list[_Waiting[Question, Answer]] = []
        taken: set[str] = set()
        longest = self._room()
        for waiting in self._waiting:
            if waiting.answer.done():
                continue
            keys = list(self._keys(waiting.question))
            fits = len(page) < longest and taken.isdisjoint(keys)
            (page if fits else later).append(waiting)
            taken.update(keys)
        self._waiting = later
        return page

    def _room(self) -> int:
        """Not for everyone when nothing is out: else the store rests while we work, and we then."""
        pages = max(1, self._at_once - len(self._out))
        return min(LONGEST_PAGE, ceil(len(self._waiting) / pages))

    async def _ask_page(self, page: list[_Waiting[Question, Answer]]) -> None:
        try:
            answers = await self._answers(page)
        except Exception as error:  # noqa: BLE001 - it is the callers' to handle
            for waiting in page:
                waiting.fail(error)
        else:
            self._hand_out(page, answers)

    async def _answers(self, page: list[_Waiting[Question, Answer]]) -> Mapping[int, Answer]:
        try:
            questions = [waiting.question for waiting in page]
            return await self._together(questions, page[0].since)
        except Unstorable:
            if len(page) == 1:
                raise
            return {}

    def _hand_out(
        self, page: list[_Waiting[Question, Answer]], answers: Mapping[int, Answer]
    ) -> None:
        for place, waiting in enumerate(page):
            if place in answers:
                waiting.succeed(answers[place])
            else:
                _keep(self._tasks, self._ask_alone(waiting))

    async def _ask_alone(self, waiting: _Waiting[Question, Answer]) -> None:
        try:
            waiting.succeed(await self._alone(waiting.question, waiting.since))
        except Exception as error:  # noqa: BLE001 - it is the caller's to handle
            waiting.fail(error)


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begun, and held until it has ended: the loop alone would let go of it."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
