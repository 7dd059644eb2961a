"""The client, in its own process: it reads a spec on stdin and writes results to stdout.

It says when it has prepared its requests, and begins at the next line.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import httptools
import orjson
import uvloop

from bench.arrivals import World, arrivals
from bench.works import Load, Work

MOST_A_SECOND = 9_000
"""Deliveries prepared for each second of the run. If a service needs more, the run fails."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One turn of one contestant."""

    port: int
    work: Work
    load: Load
    world: World


@dataclass(kw_only=True)
class Answers:
    """The answers between warm-up and end: latencies in milliseconds, the number of each status.

    `in_all` counts the earlier and the later ones too.
    """

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    in_all: int = 0
    seconds: float = 0.0
    ran_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Times:
    """When the warm-up ends and when the turn ends, by `perf_counter`.

    A connection waits until it is due, and is due `pause` seconds later for its next request.
    """

    begin: float
    end: float
    pause: float


class Connection(asyncio.Protocol):
    """Send one request after the other, until the end of the run. The first one is due at `due`."""

    def __init__(
        self, requests: Iterator[bytes], answers: Answers, times: Times, due: float
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._times = times
        self._due = due
        self._sent = 0.0
        self._loop = asyncio.get_running_loop()
        self.done = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._answers.in_all += 1
        if self._times.begin <= now < self._times.end:
            self._answers.latencies.append((now - self._sent) * 1000)
            self._answers.statuses[self._parser.get_status_code()] += 1
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the contestant"))

    def _wait(self) -> None:
        wait = self._due - time.perf_counter()
        self._due += self._times.pause
        if wait > 0:
            self._loop.call_later(wait, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        request = next(self._requests, None)
        self._sent = time.perf_counter()
        if request is None or self._sent >= self._times.end:
            self._answers.ran_out |= request is None
            self.done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)


def prepared(spec: Spec) -> Iterator[bytes]:
    load = spec.load
    a_second = load.a_second or MOST_A_SECOND
    # Each connection takes one more at the start and one at the end, which it does not send.
    most = int((load.warm_up + load.seconds) * a_second) + 2 * load.connections
    return arrivals(spec.work, spec.world, most)


async def ask(spec: Spec, requests: Iterator[bytes]) -> Answers:
    """Every connection has at most one request in flight."""
    load = spec.load
    answers = Answers()
    start = time.perf_counter()
    begin = start + load.warm_up
    times = Times(begin=begin, end=begin + load.seconds, pause=load.pause)
    # In turn, so that the requests of all connections together are evenly spread.
    dues = [start + load.pause * n / load.connections for n in range(load.connections)]
    connected = await asyncio.gather(
        *(
            asyncio.get_running_loop().create_connection(
                partial(Connection, requests, answers, times, due), "127.0.0.1", spec.port
            )
            for due in dues
        )
    )
    await asyncio.gather(*(connection.done for _, connection in connected))
    answers.seconds = min(time.perf_counter(), times.end) - begin
    return answers


def read_spec(text: bytes) -> Spec:
    spec = orjson.loads(text)
    return Spec(
        port=spec["port"],
        work=Work(spec["work"]),
        load=Load(**spec["load"]),
        world=World(**spec["world"]),
    )


def read_answers(text: bytes) -> Answers:
    answers = Answers(**orjson.loads(text))
    answers.statuses = Counter({int(status): n for status, n in answers.statuses.items()})
    return answers


def main() -> None:
    spec = read_spec(sys.stdin.buffer.readline())
    requests = prepared(spec)
    sys.stdout.write("prepared\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    answers = uvloop.run(ask(spec, requests))
    # `sys.stdout.buffer` has no buffer under PYTHONUNBUFFERED, and may write only a part.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(orjson.dumps(vars(answers), option=orjson.OPT_NON_STR_KEYS))


if __name__ == "__main__":
    main()
