"""Write log lines to a file from a thread, so that the event loop never waits for the file."""

import asyncio
import io
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TextIO

MAX_QUEUED = 1024 * 1024
"""The largest queue of lines, in characters."""

PAUSE = 0.01
"""Seconds between two writes: lines that arrive in between are written at once."""


class LogWriter:
    """Queues lines, and writes them to a file from one thread.

    A write to a pipe without a reader, or to a stopped terminal, blocks. Meanwhile lines are queued
    up to `max_queued` characters; beyond it they are dropped and counted, as are lines that the
    file refuses. The next write that succeeds is followed by `dropped_line(count)`.

    The thread starts with the first line. With a `file` of None all lines are ignored.

    The garbage collector may run in the middle of every method, in the thread too, and call a
    finalizer that logs. So the lock is reentrant, and what wakes the thread is kept until it waits.
    """

    def __init__(
        self,
        file: TextIO | None,
        dropped_line: Callable[[int], str],
        *,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self.dropped = 0
        """How many lines were dropped so far."""
        self._file = file
        self._dropped_line = dropped_line
        self._max_queued = max_queued
        self._queue: list[str] = []
        self._size = 0
        self._unreported = 0
        self._lock = threading.RLock()
        self._written = threading.Condition(self._lock)
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._is_writing = False
        self._closing = threading.Event()

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def write(self, line: str) -> None:
        """Queue a line, which ends with a newline. Never blocks, never raises."""
        if self._file is None:
            return
        size = len(line)
        with self._lock:
            if self._size + size > self._max_queued:
                self._drop(1)
                return
            self._queue.append(line)
            self._size += size
            if self._thread is None:
                self._start()
            if not self._is_asleep:
                return
            self._is_asleep = False
        _after_this_turn(self._wake)

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait until every line is written. False if that takes longer than `seconds`."""
        self._wake()
        with self._written:
            return self._written.wait_for(lambda: not self._queue and not self._is_writing, seconds)

    def close(self, seconds: float = 1.0) -> None:
        """Write the queue and end the thread. After `seconds` a blocked thread is abandoned."""
        thread = self._thread
        if thread is None:
            return
        self._closing.set()
        self._wake()
        thread.join(seconds)
        if not thread.is_alive():
            self._thread = None
            self._closing.clear()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        if self._thread is None:  # a finalizer may have started one just now
            self._thread = thread
            thread.start()

    def _wake(self) -> None:
        self._wakes.put(None)

    def _run(self) -> None:
        while lines := self._next():
            if self._put("".join(lines)):
                self._report_dropped()
            else:
                with self._lock:
                    self._drop(len(lines))
            with self._written:
                self._is_writing = False
                self._written.notify_all()
            self._closing.wait(PAUSE)

    def _next(self) -> list[str]:
        """All queued lines, as soon as there are any; an empty list on closing."""
        while True:
            with self._lock:
                self._is_asleep = True  # first, so that a line from now on wakes this thread
                if self._queue or self._closing.is_set():
                    self._is_asleep = False
                    lines, self._queue, self._size = self._queue, [], 0
                    self._is_writing = bool(lines)
                    return lines
            self._wakes.get()

    def _report_dropped(self) -> None:
        count = self._unreported
        if count and self._put(self._dropped_line(count)):
            with self._lock:
                self._unreported -= count

    def _put(self, text: str) -> bool:
        """Write the text. False if the file refuses it: it is full, without a reader, or closed."""
        assert self._file is not None  # noqa: S101 - `write` queues nothing without one
        try:
            _write_all(self._file, text)
        except Exception:  # noqa: BLE001 - a host's file may raise anything, and the thread goes on
            return False
        return True

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._unreported += lines


def _write_all(file: TextIO, text: str) -> None:
    """Bypass the file's buffer: a blocked write would hold its lock when Python exits."""
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):  # less than a file, or one in memory
        file.write(text)
        file.flush()
        return
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _after_this_turn(call: Callable[[], None]) -> None:
    """Call after this turn of the event loop, so that its lines are one write; else at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.call_soon(call)
