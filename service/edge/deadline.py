"""A timer that is started and stopped again and again."""

import asyncio
from collections.abc import Callable

GRACE = 0.1
"""Seconds between the end of the time and the call."""


class Deadline:
    """Calls `missed` when the time is over, unless it is stopped before.

    It refers to `missed` only while it runs: a lasting reference to the method of a connection
    would keep that connection until the garbage collector runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, missed: Callable[[], None]) -> None:
        self.stop()
        self._handle = self._loop.call_later(seconds, self._wait_once_more, missed)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait_once_more(self, missed: Callable[[], None]) -> None:
        """If this process was suspended, the awaited bytes may have arrived and not be read yet."""
        self._handle = self._loop.call_later(GRACE, self._miss, missed)

    def _miss(self, missed: Callable[[], None]) -> None:
        self._handle = None
        missed()
