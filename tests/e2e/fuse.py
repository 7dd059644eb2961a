"""Kills this process at a chosen step of its coroutines, without any cleanup."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any


class Fuse:
    """Counts the steps of every task started after `light`, and kills the process at step `length`.

    Each await is two steps: one before it suspends the task, one after it resumes.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._steps = 0

    def light(self) -> None:
        """Count the steps of the tasks that the running event loop starts from now on."""
        asyncio.get_running_loop().set_task_factory(self._task)

    def _task(
        self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any
    ) -> "asyncio.Task[Any]":
        return asyncio.Task(stepwise(work, self._step), loop=loop, **options)

    def _step(self) -> None:
        self._steps += 1
        if self._steps == self._length:
            os.kill(os.getpid(), signal.SIGKILL)


async def stepwise(work: Coroutine[Any, Any, Any], step: Callable[[], None]) -> Any:
    """Run `work`, and call `step` before and after each await."""
    return await _stepwise(work, step)


@coroutine
def _stepwise(work: Coroutine[Any, Any, Any], step: Callable[[], None]) -> Generator[Any, Any, Any]:
    go_on: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            awaited = go_on()
        except StopIteration as end:
            return end.value
        step()
        try:
            answer = yield awaited
        except BaseException as error:  # noqa: BLE001 - the task must see a cancellation too
            go_on = partial(work.throw, error)
        else:
            go_on = partial(work.send, answer)
        step()
