"""The client, in its own process: it reads a spec on stdin and writes results to stdout."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    """The answers after the warm-up: latencies in milliseconds, and the number of each status."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    ran_out: bool = False


class Connection(asyncio.Protocol):
    """Send one request after the other, until the end of the run."""

    def __init__(
        self, requests: Iterator[bytes], answers: Answers, begin: float, end: float
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._begin, self._end = begin, end
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if now >= self._begin:
            self._answers.latencies.append((now - self._sent) * 1000)
            self._answers.statuses[self._parser.get_status_code()] += 1
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the contestant"))

    def _ask(self) -> None:
        request = next(self._requests, None)
        self._sent = time.perf_counter()
        if request is None or self._sent >= self._end:
            self._answers.ran_out |= request is None
            self.done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)


async def ask(spec: Spec) -> Answers:
    """Every connection has one request in flight."""
    load = spec.load
    most = int((load.warm_up + load.seconds) * MOST_A_SECOND)
    requests = arrivals(spec.work, spec.world, most)
    answers = Answers()
    begin = time.perf_counter() + load.warm_up
    end = begin + load.seconds
    loop = asyncio.get_running_loop()
    connected = await asyncio.gather(
        *(
            loop.create_connection(
                lambda: Connection(requests, answers, begin, end), "127.0.0.1", spec.port
            )
            for _ in range(load.connections)
        )
    )
    await asyncio.gather(*(connection.done for _, connection in connected))
    answers.seconds = min(time.perf_counter(), end) - begin
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
    answers = uvloop.run(ask(read_spec(sys.stdin.buffer.read())))
    # `sys.stdout.buffer` has no buffer under PYTHONUNBUFFERED, and may write only a part.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(orjson.dumps(vars(answers), option=orjson.OPT_NON_STR_KEYS))


if __name__ == "__main__":
    main()
