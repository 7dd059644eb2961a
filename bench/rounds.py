"""Takes turns: every round asks the same of each contestant, one after the other."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bench.arrivals import World
from bench.contestants import Running
from bench.store import Store
from bench.works import Load, Work


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One contestant doing one work in one round. Latencies in ms, CPU in µs, memory in MB.

    CPU and memory are the serving process's own, and None where the system does not tell.
    """

    contestant: str
    work: Work
    per_second: float
    p50: float
    p99: float
    cpu: float | None
    memory: float | None


async def rounds(
    contestants: Sequence[Running],
    works: Sequence[Work],
    load: Load,
    world: World,
    store: Store,
    count: int,
) -> AsyncIterator[list[Turn]]:
    """One list of turns a round. Who begins moves on, so that nobody is always first."""
    for number in range(count):
        turns = []
        for work in works:
            for place in range(len(contestants)):
                await store.checkpoint()
                contestant = contestants[(place + number) % len(contestants)]
                turns.append(await turn(contestant, work, load, world))
        yield turns


async def turn(running: Running, work: Work, load: Load, world: World) -> Turn:
    """Raises `RuntimeError` when the contestant did not do its work."""
    before = cpu_seconds(running.pid)
    answers = await _ask(running, work, load, world)
    after = cpu_seconds(running.pid)
    latencies = sorted(answers["latencies"])
    _check(running, work, answers)
    # The warm-up's requests are not among the answers, but cost the same.
    asked = len(latencies) * (load.seconds + load.warm_up) / load.seconds
    return Turn(
        contestant=running.contestant.name,
        work=work,
        per_second=len(latencies) / answers["seconds"],
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        cpu=None if before is None or after is None else (after - before) / asked * 1e6,
        memory=memory(running.pid),
    )


async def _ask(running: Running, work: Work, load: Load, world: World) -> dict[str, object]:
    spec = {"port": running.port, "work": work, "load": asdict(load), "world": asdict(world)}
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.client"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await client.communicate(orjson.dumps(spec))
    if client.returncode:
        raise RuntimeError(f"the client failed against {running.contestant.name}")
    result: dict[str, object] = orjson.loads(answer)
    return result


def _check(running: Running, work: Work, answers: dict[str, object]) -> None:
    statuses = answers["statuses"]
    assert isinstance(statuses, dict)  # noqa: S101 - the client writes it so
    failed = {status: n for status, n in statuses.items() if not work.is_done(int(status))}
    if failed or not statuses:
        raise RuntimeError(f"{running.contestant.name}, {work}: not done, {statuses}")
    if answers["ran_out"]:
        raise RuntimeError("the client ran out of requests: raise MOST_A_SECOND in bench/client.py")


def cpu_seconds(pid: int) -> float | None:
    """User and system time so far, as Linux tells it."""
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
