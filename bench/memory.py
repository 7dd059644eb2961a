"""`python -m bench.memory`: the time until ready, and the memory after a million requests."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from statistics import linear_regression, median
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from bench.contestants import OURS, Running, running
from bench.processes import memory
from bench.rounds import Course, turn
from bench.signed_in import signed_in_everywhere
from bench.store import durable_store
from bench.works import Load, Work
from scripts.clerk_emulator import EmulatorConfig, running_emulator

STARTS = 5
STEPS = 10
USERS = 10_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Resident memory in MB after so many requests."""

    requests: int
    resident: float


def main(
    *,
    requests: Annotated[int, typer.Option(min=STEPS, help="The number of requests.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=0.2, help="The length of each turn.")] = 5.0,
) -> None:
    """Prints the seconds until ready, and the resident memory in steps."""
    asyncio.run(_measure(requests, Load(users=USERS, seconds=seconds)))


async def _measure(requests: int, load: Load) -> None:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(durable_store())
        clerk = await stack.enter_async_context(running_emulator(EmulatorConfig(rate_limit=None)))
        clerk.create_users(1)
        environment = {
            **clerk.config.environment(),
            "CLERK_JWT_KEY": clerk.keys.public_pem(),
            "DATABASE_URL": await store.make("memory", load.users, []),
            "HOST": "127.0.0.1",
        }
        starts = [await _start(environment) for _ in range(STARTS)]
        ours = await stack.enter_async_context(running(OURS, environment))
        world = signed_in_everywhere(clerk, load.users)
        course = Course(works=list(Work), load=load, world=world, store=store)
        samples = await _samples(ours, course, requests)
    console = Console(width=120)
    console.print(f"ready after {median(starts):.2f} s ({min(starts):.2f}-{max(starts):.2f})")
    console.print(settling(samples))
    console.print(table(samples))


async def _start(environment: Mapping[str, str]) -> float:
    """Seconds from the start of the process to the first 200; up to 0.05 too many."""
    # A client is made before the clock starts: that takes a tenth of a second.
    async with httpx.AsyncClient() as client:
        began = time.perf_counter()
        async with running(OURS, environment) as ours:
            while (await client.get(f"http://127.0.0.1:{ours.port}/readyz")).status_code != 200:
                pass
            return time.perf_counter() - began


async def _samples(ours: Running, course: Course, requests: int) -> list[Sample]:
    """Samples of the memory, the first one idle. Samples are taken between turns."""
    samples = [Sample(requests=0, resident=memory(ours.pid) or 0.0)]
    asked = 0.0
    for work in cycle(course.works):
        done = await turn(ours, work, course)
        asked += done.per_second * course.load.seconds
        if asked >= requests * len(samples) / STEPS:
            samples.append(Sample(requests=int(asked), resident=memory(ours.pid) or 0.0))
        if asked >= requests:
            break
    return samples


def slope(samples: Sequence[Sample]) -> float:
    """MB for every 100,000 requests, by least squares; at least two samples."""
    line = linear_regression(
        [one.requests / 100_000 for one in samples], [one.resident for one in samples]
    )
    return line.slope


def settling(samples: Sequence[Sample]) -> str:
    """The slope without the first two samples, during which caches fill."""
    settled = samples[2:]
    if len(settled) < 2:
        return "too few steps for a slope"
    return f"{slope(settled):+.2f} MB per 100,000 requests after the first step"


def table(samples: Sequence[Sample]) -> Table:
    """The resident memory by the number of requests."""
    shown = Table("requests", "resident MB")
    for one in samples:
        shown.add_row(f"{one.requests:,}", f"{one.resident:.1f}")
    return shown


if __name__ == "__main__":
    typer.run(main)
