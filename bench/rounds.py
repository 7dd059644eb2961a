"""Rounds: each sends the same requests to every service, one service after the other."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from bench.arrivals import World
from bench.client import Answers, Spec, read_answers
from bench.contestants import Running
from bench.store import Store
from bench.works import Load, Work

Anyone = TypeVar("Anyone")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One service, one kind of request, one round. Latencies in ms, CPU in µs, memory in MB.

    CPU and memory are those of the service's process, and None if the system does not tell them.
    """

    contestant: str
    work: Work
    per_second: float
    p50: float
    p99: float
    cpu: float | None
    memory: float | None


@dataclass(frozen=True, kw_only=True)
class Course:
    """The requests, the services, and their stores."""

    works: Sequence[Work]
    load: Load
    world: World
    store: Store


async def one_round(contestants: Sequence[Running], course: Course, number: int) -> list[Turn]:
    """The turns of all services. Another service begins in each round."""
    order = from_the(number, contestants)
    return [await turn(one, work, course) for work in course.works for one in order]


def from_the(number: int, those: Sequence[Anyone]) -> list[Anyone]:
    """The services in a ring that starts with another one in every round."""
    first = number % len(those)
    return [*those[first:], *those[:first]]


async def turn(running: Running, work: Work, course: Course) -> Turn:
    """Raises `RuntimeError` if the service did not do its work."""
    await course.store.checkpoint()
    before = cpu_seconds(running.pid)
    answers = await _ask(running, work, course)
    after = cpu_seconds(running.pid)
    _check(running, work, answers)
    latencies = sorted(answers.latencies)
    # The warm-up's requests cost the same, and are not among the answers.
    asked = len(latencies) * (1 + course.load.warm_up / course.load.seconds)
    return Turn(
        contestant=running.contestant.name,
        work=work,
        per_second=len(latencies) / answers.seconds,
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        cpu=None if before is None or after is None else (after - before) / asked * 1e6,
        memory=memory(running.pid),
    )


async def _ask(running: Running, work: Work, course: Course) -> Answers:
    spec = Spec(port=running.port, work=work, load=course.load, world=course.world)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.client"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await client.communicate(orjson.dumps(asdict(spec)))
    if client.returncode:
        raise RuntimeError(f"the client failed against {running.contestant.name}")
    return read_answers(answer)


def _check(running: Running, work: Work, answers: Answers) -> None:
    if not answers.statuses or not all(work.is_done(status) for status in answers.statuses):
        raise RuntimeError(f"{running.contestant.name}, {work}: not done, {answers.statuses}")
    if answers.ran_out:
        raise RuntimeError("the client ran out of requests: raise MOST_A_SECOND in bench/client.py")


def cpu_seconds(pid: int) -> float | None:
    """User and system time so far, from `/proc`."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float | None:
    """Resident memory in MB."""
    statm = Path(f"/proc/{pid}/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
