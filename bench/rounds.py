"""Rounds: each sends the same requests to every service, one service after the other."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar, cast

import orjson

from bench.arrivals import World
from bench.client import Answers, Spec, read_answers
from bench.contestants import Running
from bench.processes import CpuTimes, cpu_times, memory
from bench.store import Store
from bench.works import Load, Work

Anyone = TypeVar("Anyone")


DISTURBED = 0.1
"""A turn in which others kept this much of a core busy is repeated."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One service, one kind of request, one round. Latencies in ms, CPU in µs, memory in MB.

    CPU is per request, of the service's processes and of the store's. `disturbance` is in cores,
    `tries` counts the repetitions too. What the system does not tell is None.
    """

    contestant: str
    work: Work
    load: Load
    per_second: float
    p50: float
    p99: float
    server_cpu: float | None
    store_cpu: float | None
    memory: float | None
    disturbance: float | None
    tries: int = 1

    @property
    def kind(self) -> str:
        """What was asked, for headings."""
        return f"{self.work}, {self.load}"

    @property
    def cpu(self) -> float | None:
        """CPU per request of the service and the store together."""
        if self.server_cpu is None or self.store_cpu is None:
            return None
        return self.server_cpu + self.store_cpu

    @property
    def is_disturbed(self) -> bool:
        return self.disturbance is not None and self.disturbance > DISTURBED


@dataclass(frozen=True, kw_only=True)
class Course:
    """The requests, the services, and their stores. A disturbed turn has up to `tries` tries."""

    works: Sequence[Work]
    load: Load
    world: World
    store: Store
    tries: int = 1


async def one_round(contestants: Sequence[Running], course: Course, number: int) -> list[Turn]:
    """The turns of all services. Another service begins in each round."""
    order = from_the(number, contestants)
    return [await turn(one, work, course) for work in course.works for one in order]


def from_the(number: int, those: Sequence[Anyone]) -> list[Anyone]:
    """The services in a ring that starts with another one in every round."""
    first = number % len(those)
    return [*those[first:], *those[:first]]


async def turn(running: Running, work: Work, course: Course) -> Turn:
    """The least disturbed of its tries. Raises `RuntimeError` if one was not done."""
    tries: list[Turn] = []
    while len(tries) < course.tries:
        tries.append(await _try(running, work, course))
        if not tries[-1].is_disturbed:
            break
    best = min(tries, key=lambda one: one.disturbance or 0.0)
    return replace(best, tries=len(tries))


async def _try(running: Running, work: Work, course: Course) -> Turn:
    await course.store.checkpoint()
    spec = Spec(port=running.port, work=work, load=course.load, world=course.world)
    answers, spent = await measured(running, spec, course.store.pid)
    _check(running, work, answers)
    latencies = sorted(answers.latencies)
    return Turn(
        contestant=running.contestant.name,
        work=work,
        load=course.load,
        per_second=len(latencies) / answers.seconds,
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        server_cpu=None if spent is None else spent.server / answers.in_all * 1e6,
        store_cpu=None if spent is None else spent.store / answers.in_all * 1e6,
        memory=memory(running.pid),
        disturbance=None if spent is None else spent.disturbance,
    )


async def measured(running: Running, spec: Spec, store: int) -> tuple[Answers, CpuTimes | None]:
    """The answers, and the CPU meanwhile: without the start and the preparation of the client."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.client"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    cast("asyncio.StreamWriter", client.stdin).write(orjson.dumps(asdict(spec)) + b"\n")
    await cast("asyncio.StreamReader", client.stdout).readline()
    before = cpu_times(running.pid, store)
    answer, _ = await client.communicate(b"\n")
    after = cpu_times(running.pid, store)
    if client.returncode:
        raise RuntimeError(f"the client failed against {running.contestant.name}")
    return read_answers(answer), None if before is None or after is None else after - before


def _check(running: Running, work: Work, answers: Answers) -> None:
    if not answers.statuses or not all(work.is_done(status) for status in answers.statuses):
        raise RuntimeError(f"{running.contestant.name}, {work}: not done, {answers.statuses}")
    if answers.ran_out:
        raise RuntimeError("the client ran out of requests: raise MOST_A_SECOND in bench/client.py")
