"""Virtual time: when every task waits, the clock jumps to the next timer. A day takes no time."""

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import time_machine

BEGINNING = datetime(2026, 3, 1, tzinfo=UTC)
Answer = TypeVar("Answer")

_process: "contextvars.ContextVar[Process | None]" = contextvars.ContextVar("process", default=None)


class Calendar:
    """The wall clock of the process. It follows the loop, and can be set wrong."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self._now = 0.0
        self._ahead = 0.0

    def follow(self, now: float) -> None:
        self._now = now
        self._traveller.move_to(BEGINNING.timestamp() + self._now + self._ahead)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as when a clock is corrected."""
        self._ahead += seconds
        self.follow(self._now)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer. It supports no sockets and no threads."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._now = 0.0
        super().__init__(_Leaps(self._leap))
        # asyncio's nanosecond is below the precision of a float once the loop's time is months.
        self._clock_resolution = 1e-6
        self.set_task_factory(_in_its_process)

    def time(self) -> float:
        """Seconds since the loop was created."""
        return self._now

    def _leap(self, seconds: float) -> None:
        self._now += seconds
        self.calendar.follow(self._now)


class _Leaps(selectors.SelectSelector):
    """A selector that advances the time instead of waiting."""

    def __init__(self, leap: Callable[[float], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits, and no timer is set")
            self._leap(timeout)
        return ready


def live_through(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Run `main` in virtual time. The wall clock begins at `BEGINNING`."""
    with time_machine.travel(BEGINNING, tick=False) as traveller:
        loop = VirtualLoop(Calendar(traveller))
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time."""

    @wraps(test)
    def lived(*given: Any, **named: Any) -> None:
        live_through(test(*given, **named))

    return lived


def calendar() -> Calendar:
    """The calendar of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.calendar


def true_time() -> int:
    """The right time in milliseconds since 1970, even if the wall clock is wrong."""
    return round((BEGINNING.timestamp() + asyncio.get_running_loop().time()) * 1000)


class Process:
    """A group of tasks and of all tasks that they start. `kill` cancels them together."""

    def __init__(self) -> None:
        # A dict keeps the order, so that the same seed cancels in the same order.
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._context = contextvars.copy_context()
        self._context.run(_process.set, self)

    def spawn(self, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        loop = asyncio.get_running_loop()
        return loop.create_task(work, context=self._context.copy())

    def kill(self) -> None:
        """Cancel each task at its present await."""
        for task in list(self._tasks):
            task.cancel()

    def own(self, task: "asyncio.Task[Any]") -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))


def _in_its_process(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> "asyncio.Task[Any]":
    task = asyncio.Task(work, loop=loop, **how)
    context: contextvars.Context | None = how.get("context")
    owner = _process.get() if context is None else context.get(_process)
    if owner is not None:
        owner.own(task)
    return task
