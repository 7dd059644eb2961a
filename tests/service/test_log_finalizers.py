"""A finalizer that logs may interrupt the log's writer anywhere, and holds nothing up."""

import gc
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from service.log_writer import LogWriter

COUNT = 20


@pytest.fixture
def often() -> Iterator[None]:
    """The garbage collector runs as often as it can."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 100_000, 100_000)
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("thread", ["log", "application"])
def test_a_finalizer_that_logs_holds_nothing_up(thread: str) -> None:
    file = StringIO()
    lines = LogWriter(file, str)
    finalizers = [f"finalizer {number}" for number in range(COUNT)]
    logged = [f"line {number}" for number in range(COUNT)]
    expected = sorted(finalizers + logged)
    flushed = []

    def collected(phase: str, _: dict[str, int]) -> None:
        """The collector calls this where it calls finalizers: in the thread that it interrupts."""
        if phase == "stop" and finalizers and threading.current_thread().name == thread:
            lines.write(f"{finalizers.pop()}\n")

    def application() -> None:
        for line in logged:
            lines.write(f"{line}\n")
            flushed.append(lines.flush(5))

    gc.callbacks.append(collected)
    try:
        running = threading.Thread(target=application, name="application", daemon=True)
        running.start()
        running.join(20)
    finally:
        gc.callbacks.remove(collected)
    assert flushed == [True] * COUNT
    lines.close(5)
    assert sorted(file.getvalue().splitlines()) == expected
