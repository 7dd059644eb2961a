"""A signal reaches the event loop, also where the loop handles none."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from service.signals import at_signal


class LoopOfWindows(asyncio.SelectorEventLoop):
    def add_signal_handler(self, *_: object) -> None:
        raise NotImplementedError


@pytest.fixture
def number() -> Iterator[signal.Signals]:
    """A signal whose handler is put back."""
    handler = signal.getsignal(signal.SIGUSR1)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, handler)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, LoopOfWindows])
def test_it_is_called_at_the_signal(
    number: signal.Signals, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def until_the_signal() -> bool:
        stopped = asyncio.Event()
        at_signal(number, stopped.set)
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            return await stopped.wait()

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(until_the_signal())
