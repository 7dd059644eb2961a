"""If the log cannot be written, nothing else is affected."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO, cast

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.edge.account import Edge
from service.edge.budget import Budget
from service.log import line_logger, log_writer
from service.log_writer import PAUSE, LogWriter
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess, environment_for
from tests.running import Service, running_service
from tests.service.listening import Listening

PROJECT = Path(__file__).parents[2]
IN_TIME = 20.0
"""Seconds for 500 answers. A log that they wait for would hold them for ever."""


def full() -> TextIO:
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")


def without_a_reader() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed() -> TextIO:
    file = full()
    file.close()
    return file


@asynccontextmanager
async def strict(service: Service) -> AsyncIterator[Service]:
    """What escapes the application comes out here, where a server would log it."""
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield replace(service, http=http)


@pytest.mark.parametrize("sink", [full, without_a_reader, closed])
async def test_a_service_that_cannot_write_its_log_serves(
    sink: Callable[[], TextIO], clerk: ClerkEmulator, store_url: str
) -> None:
    arrival, file = sign_up(clerk), sink()
    lines = log_writer("json", file)
    async with running_service(clerk, store_url, log=lines) as service, strict(service) as strictly:
        answers = [await strictly.deliver(arrival.body) for _ in range(3)]
        refused = await strictly.http.get("/v1/me")
        assert lines.flush()
        assert await service.metric("log_lines_dropped_total") == 4
    lines.close()
    with suppress(OSError):
        file.close()
    assert [answer.status_code for answer in answers] == [204] * 3
    assert refused.status_code == 401


class Pipe(io.RawIOBase):
    """Records what arrives at the other end, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.pieces.append(bytes(piece))
        return len(piece)


def piped(pipe: Pipe) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(pipe))


async def test_the_lines_of_one_turn_are_one_write() -> None:
    pipe = Pipe()
    lines = log_writer("json", piped(pipe))
    log = line_logger("info", "json", lines)
    log.info("the thread starts")
    assert lines.flush()
    await asyncio.to_thread(asleep, lines)
    del pipe.pieces[:]
    log.info("one")
    log.info("two")
    await asyncio.sleep(0)
    assert lines.flush()
    assert [piece.count(b"\n") for piece in pipe.pieces] == [2]
    lines.close()


def asleep(lines: LogWriter) -> None:
    """Wait until its thread waits for lines."""
    while not lines._is_asleep:
        threading.Event().wait(PAUSE)


def test_a_line_is_written_where_no_event_loop_runs() -> None:
    pipe = Pipe()
    lines = log_writer("json", piped(pipe))
    line_logger("info", "json", lines).info("one")
    lines.close()
    assert [piece.count(b"\n") for piece in pipe.pieces] == [1]


def test_a_closed_writer_may_be_used_again() -> None:
    pipe = Pipe()
    lines = log_writer("json", piped(pipe))
    for word in ("one", "two"):
        lines.write(f"{word}\n")
        lines.close()
    assert b"".join(pipe.pieces) == b"one\ntwo\n"


@dataclass
class Stuck:
    """A full pipe that is not read yet."""

    reader: int
    file: TextIO
    filled: int

    def read(self) -> list[dict[str, Any]]:
        """Read all lines of the pipe, up to the last."""
        self.file.close()
        with os.fdopen(self.reader, "rb") as reader:
            return [json.loads(line) for line in reader.read()[self.filled :].splitlines()]


def stuck() -> Stuck:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(writer, b" " * 4096)
    os.set_blocking(writer, True)
    return Stuck(reader, os.fdopen(writer, "w"), filled)


def test_lines_that_a_stuck_file_does_not_accept_are_dropped_counted_and_reported() -> None:
    pipe = stuck()
    lines = LogWriter(pipe.file, lambda count: f'{{"dropped": {count}}}\n', max_queued=1_000)
    started = time.monotonic()
    for number in range(1_000):
        lines.write(f'{{"number": {number}}}\n')
    assert time.monotonic() - started < 1
    assert not lines.flush(0.1)
    dropped = lines.dropped
    assert 0 < dropped < 1_000
    reading = ThreadPoolExecutor(1)
    first = reading.submit(os.read, pipe.reader, pipe.filled).result()
    assert lines.flush(10)
    lines.write('{"number": 1000}\n')
    lines.close(10)
    pipe.filled -= len(first)
    told = pipe.read()
    assert [one["dropped"] for one in told if "dropped" in one] == [dropped]
    assert len(told) == 1_000 - dropped + 2
    assert told[-1] == {"number": 1000}
    assert lines.dropped == dropped


def test_a_stuck_file_does_not_hold_up_the_end() -> None:
    pipe = stuck()
    lines = log_writer("json", pipe.file)
    lines.write("{}\n")
    started = time.monotonic()
    lines.close(0.2)
    assert time.monotonic() - started < 2
    os.close(pipe.reader)
    lines.close(10)
    pipe.file.close()


def test_dropped_lines_are_reported_in_the_form_of_other_lines() -> None:
    pipe = Pipe()
    lines = log_writer("json", piped(pipe))
    told = json.loads(lines._dropped_line(3))
    assert told.pop("timestamp").endswith("Z")
    assert told == {"event": "log_lines_dropped", "level": "warning", "lines": 3}


class StuckProcess(ServiceProcess):
    """A service whose standard output is a full pipe."""

    def spawn(self) -> None:
        self.pipe = stuck()
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                cwd=self._directory,
                env=self._environment,
                stdout=self.pipe.file,
                stderr=stderr,
            )


async def dropped(service: ServiceProcess) -> float:
    told = (await service.http.get("/metrics")).text
    [count] = re.findall(r"(?m)^clerk_user_sync_log_lines_dropped_total (\S+)$", told)
    return float(count)


async def test_a_service_whose_output_is_stuck_serves_reports_and_stops(
    clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    service = StuckProcess(environment_for(clerk, store_url), tmp_path)
    try:
        await service.start()
        asked = f"GET /nope HTTP/1.1\r\nHost: a\r\nX-Request-Id: {'x' * 64}\r\n".encode()
        assert await dropped(service) == 0
        while not await dropped(service):
            async with asyncio.timeout(IN_TIME):
                answer = await Listening(service.port, Edge(Budget())).send(
                    (asked + b"\r\n") * 499 + asked + b"Connection: close\r\n\r\n"
                )
            assert answer.statuses == [404] * 500
        service.send_signal(signal.SIGTERM)
        assert await service.ended(10) == 0
        assert service.stderr == ""
        service.pipe.read()
    finally:
        await service.close()


class Recorder:
    """What a host may put in the place of standard output: it has no descriptor and no terminal."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)

    def flush(self) -> None:
        """Nothing is kept."""


class Refusing(Recorder):
    """It refuses the first text, with an error that no file of Python's raises."""

    def write(self, text: str) -> None:
        super().write(text)
        if len(self.written) == 1:
            raise LookupError


@pytest.mark.parametrize(("kind", "dropped"), [(Recorder, 0), (Refusing, 1)])
def test_less_than_a_file_is_written_too(kind: type[Recorder], dropped: int) -> None:
    file = kind()
    lines = log_writer("auto", cast("TextIO", file))
    log = line_logger("info", "auto", lines)
    for word in ("one", "two"):
        log.info(word)
        assert lines.flush(5)
    lines.close()
    assert [json.loads(text)["event"] for text in file.written[:2]] == ["one", "two"]
    assert lines.dropped == dropped


def test_a_process_without_standard_output_has_a_logger_all_the_same() -> None:
    program = (
        "from service.log import line_logger, log_writer; "
        "line_logger('info', 'auto', log_writer('auto')).info('unheard')"
    )
    closing = ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, program]
    ended = subprocess.run(closing, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
