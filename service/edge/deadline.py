"""A time after which something is missed."""

import asyncio
from collections.abc import Callable

ONCE_MORE = 0.1


class Deadline:
    """Calls what it was started with once the time is over, unless it is stopped before.

    It keeps that callable only meanwhile, so that a connection it belongs to is no cycle.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, missed: Callable[[], None]) -> None:
        self.stop()
        self._handle = self._loop.call_later(seconds, self._look_once_more, missed)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look_once_more(self, missed: Callable[[], None]) -> None:
        """If this process stood still, what is awaited may have come, and not be read yet."""
        self._handle = self._loop.call_later(ONCE_MORE, self._miss, missed)

    def _miss(self, missed: Callable[[], None]) -> None:
        self._handle = None
        missed()
