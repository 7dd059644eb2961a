"""A log that cannot be written is lost, and nothing else is."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.log import line_logger
from tests.e2e.messages import sign_up
from tests.running import Service, running_service

PROJECT = Path(__file__).parents[2]


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
    async with running_service(clerk, store_url, log=file) as service, strict(service) as strictly:
        answers = [await strictly.deliver(arrival.body) for _ in range(3)]
        refused = await strictly.http.get("/v1/me")
    with suppress(OSError):
        file.close()
    assert [answer.status_code for answer in answers] == [204] * 3
    assert refused.status_code == 401


class Pipe(io.RawIOBase):
    """Remembers what arrives at the other end, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.pieces.append(bytes(piece))
        return len(piece)


def piped(pipe: Pipe) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(pipe))


async def test_the_lines_of_one_turn_go_out_together_in_the_next() -> None:
    pipe = Pipe()
    file = piped(pipe)
    log = line_logger("info", "json", file)
    log.info("one")
    log.info("two")
    assert pipe.pieces == []
    await asyncio.sleep(0)
    assert [piece.count(b"\n") for piece in pipe.pieces] == [2]


def test_a_line_goes_out_at_once_where_no_event_loop_runs() -> None:
    pipe = Pipe()
    file = piped(pipe)
    line_logger("info", "json", file).info("one")
    assert [piece.count(b"\n") for piece in pipe.pieces] == [1]


def test_a_process_without_standard_output_has_a_logger_all_the_same() -> None:
    program = "from service.log import line_logger; line_logger('info', 'auto').info('unheard')"
    closing = ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, program]
    ended = subprocess.run(closing, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
