"""A time after which something is missed."""

import asyncio
from collections.abc import Callable

ONCE_MORE = 0.1


class Deadline:
    """Calls `missed` when the time is over, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], None]) -> None:
        self._loop = loop
        self._missed = missed
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float) -> None:
        self.stop()
        self._handle = self._loop.call_later(seconds, self._look_once_more)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look_once_more(self) -> None:
        """If this process stood still, what is awaited may have come, and not be read yet."""
        self._handle = self._loop.call_later(ONCE_MORE, self._miss)

    def _miss(self) -> None:
        self._handle = None
        self._missed()
