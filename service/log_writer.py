"""Lines on their way to a file, off the event loop."""

import asyncio
import io
import os
import threading
from collections.abc import Callable
from typing import TextIO

MOST_WAITING = 1024 * 1024
"""Characters of lines that wait for the file."""

PAUSE = 0.01
"""Seconds between two writes: what comes meanwhile is one write, and one wake of its reader."""


class LogWriter:
    """Writes lines to a file from one thread, so that a file that is stuck holds up nothing else.

    A pipe that nobody reads, or a terminal that is stopped, blocks a write for as long as it takes.
    Lines wait up to a bound, and are dropped and counted beyond it, as are those that the file
    refuses. `tell` makes the line that says how many were dropped, once there is room again.

    The thread starts with the first line. A `file` of None takes nothing.
    """

    def __init__(
        self, file: TextIO | None, tell: Callable[[int], str], *, most_waiting: int = MOST_WAITING
    ) -> None:
        self.dropped = 0
        """Lines so far."""
        self._file = file
        self._tell = tell
        self._most_waiting = most_waiting
        self._waiting: list[str] = []
        self._size = 0
        self._untold = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._is_writing = False
        self._closing = threading.Event()

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def write(self, line: str) -> None:
        """Leave a line, with its line end, to the thread. Never blocks, never raises."""
        if self._file is None:
            return
        with self._lock:
            if self._size + len(line) > self._most_waiting:
                self._drop(1)
                return
            self._waiting.append(line)
            self._size += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            if not self._is_asleep:
                return
            self._is_asleep = False
        _at_the_end_of_the_turn(self._wake)

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait until every line is written. False where that took longer."""
        self._wake()
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._is_writing, seconds
            )

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits and end the thread, or leave it behind if the file is still stuck."""
        thread = self._thread
        if thread is None:
            return
        self._closing.set()
        self._wake()
        thread.join(seconds)
        if not thread.is_alive():
            self._thread = None
            self._closing.clear()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        while lines := self._next():
            if self._put("".join(lines)):
                self._tell_what_was_dropped()
            else:
                with self._changed:
                    self._drop(len(lines))
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
            self._closing.wait(PAUSE)

    def _next(self) -> list[str]:
        """All lines that wait; none once it is closing."""
        with self._changed:
            while not self._waiting and not self._closing.is_set():
                self._is_asleep = True
                self._changed.wait()
            self._is_asleep = False
            lines, self._waiting, self._size = self._waiting, [], 0
            self._is_writing = bool(lines)
            return lines

    def _tell_what_was_dropped(self) -> None:
        """Only now: the write before it has shown that there is room."""
        untold = self._untold
        if untold and self._put(self._tell(untold)):
            with self._changed:
                self._untold -= untold

    def _put(self, text: str) -> bool:
        """Whether the file took it: it may be full, without a reader, or closed."""
        assert self._file is not None  # noqa: S101 - `write` takes nothing without one
        try:
            _write_all(self._file, text)
        except (OSError, ValueError):
            return False
        return True

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines


def _write_all(file: TextIO, text: str) -> None:
    """Past the file's own buffer, whose lock a stuck write would hold when Python ends."""
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # a file in memory
        file.write(text)
        file.flush()
        return
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _at_the_end_of_the_turn(call: Callable[[], None]) -> None:
    """So that the lines of one turn are one write. At once where no event loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.call_soon(call)
