"""`python -m bench.growth`: the same requests with more and more rows, in turns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.retention import PostgresRetention
from bench.contestants import OURS, Running, running
from bench.curve import curve
from bench.report import Ratio, quiet, spread
from bench.rounds import Course, Turn, from_the, turn
from bench.signed_in import signed_in_everywhere
from bench.store import Store, durable_store
from bench.works import Load, Work
from domain.retention import Expired, Retain, RetentionPeriods
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from service.jobs import RETENTION_PAUSE_RATIO

TRIES = 3
"""Tries of a turn, if other processes disturb it."""
WORKS = (Work.KNOWN_USER, Work.FRESH_DELIVERY)
KEPT = RetentionPeriods(bodies=timedelta(days=30), entries=timedelta(days=90))
DUE = "select count(*) from sync_journal where received_at < $1"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One size: its service and its requests."""

    running: Running
    course: Course
    url: str
    users: int
    journal: int


def main(
    *,
    sizes: Annotated[
        str, typer.Option(help="Numbers of users, with commas.")
    ] = "10000,1000000,5000000",
    journal: Annotated[
        int, typer.Option(help="Journal entries, with the fewest users.")
    ] = 10_000_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="The length of each turn.")] = 3.0,
    svg: Annotated[Path | None, typer.Option(help="Write the picture here.")] = None,
) -> None:
    """Prints medians, and the cost of a request relative to the fewest rows."""
    users = sorted(int(size) for size in sizes.split(","))
    wanted = [(size, 0) for size in users] + ([(users[0], journal)] if journal else [])
    turns = asyncio.run(_growth(wanted, rounds, seconds))
    if svg is not None:
        svg.write_text(
            curve(users, [costs(turns, work, [_name(one) for one in users]) for work in WORKS])
        )


async def _growth(
    wanted: Sequence[tuple[int, int]], rounds: int, seconds: float
) -> list[list[Turn]]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(durable_store())
        clerk = await stack.enter_async_context(running_emulator(EmulatorConfig(rate_limit=None)))
        clerk.create_users(1)
        places = [
            await _place(stack, store, clerk, Load(users=users, seconds=seconds), journal)
            for users, journal in wanted
        ]
        turns = [await _round(places, number) for number in range(rounds)]
        left = [await _left(place) for place in places if place.journal]
    Console(width=120).print(
        table(turns),
        quiet(turns),
        *(f"left to forget at the end: {count:,}" for count in left),
        sep="\n",
    )
    return turns


async def _place(
    stack: AsyncExitStack, store: Store, clerk: ClerkEmulator, load: Load, journal: int
) -> Place:
    name = _name(load.users, journal)
    url = await store.make(f"growth_{load.users}_{journal}", load.users, [], journal)
    environment = {
        **clerk.config.environment(),
        "CLERK_JWT_KEY": clerk.keys.public_pem(),
        "DATABASE_URL": url,
        "HOST": "127.0.0.1",
    }
    started = await stack.enter_async_context(running(replace(OURS, name=name), environment))
    world = signed_in_everywhere(clerk, load.users)
    course = Course(works=WORKS, load=load, world=world, store=store, tries=TRIES)
    return Place(running=started, course=course, url=url, users=load.users, journal=journal)


def _name(users: int, journal: int = 0) -> str:
    return f"{users:,} users" + (f", journal {journal:,}" if journal else "")


async def _round(places: Sequence[Place], number: int) -> list[Turn]:
    order = from_the(number, places)
    return [await _turn(place, work) for work in WORKS for place in order]


async def _turn(place: Place, work: Work) -> Turn:
    async with forgetting(place.url) if place.journal else nullcontext():
        return await turn(place.running, work, place.course)


@asynccontextmanager
async def forgetting(url: str) -> AsyncIterator[asyncio.Task[Expired]]:
    """Run the service's retention on this store meanwhile. Raises its error at the end."""
    database = Database(url)
    await database.open()
    retain = Retain(
        PostgresRetention(database), PostgresChangeLog(database), KEPT, rests=RETENTION_PAUSE_RATIO
    )
    retention = asyncio.create_task(retain())
    try:
        yield retention
    finally:
        retention.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await retention
        finally:
            await database.close()


async def _left(place: Place) -> int:
    """Entries still due. 0 means that retention had nothing to do in the last turns."""
    connection = await asyncpg.connect(place.url)
    count: int = await connection.fetchval(DUE, datetime.now(UTC) - KEPT.entries)
    await connection.close()
    return count


def costs(rounds: Sequence[list[Turn]], work: Work, names: Sequence[str]) -> list[float]:
    """The time of a request at each size relative to the first: 1.25 is a quarter more."""
    return [_cost(rounds, work, names[0], name).middle for name in names]


def _cost(rounds: Sequence[list[Turn]], work: Work, first: str, name: str) -> Ratio:
    return spread(
        _of([turns], work, first)[0].per_second / _of([turns], work, name)[0].per_second
        for turns in rounds
    )


def _of(rounds: Sequence[list[Turn]], work: Work, name: str) -> list[Turn]:
    return [one for turns in rounds for one in turns if (one.work, one.contestant) == (work, name)]


def table(rounds: Sequence[list[Turn]]) -> Table:
    """Medians, and costs relative to the fewest rows."""
    shown = Table(title=f"medians of {len(rounds)} interleaved rounds", title_justify="left")
    for heading in ("work", "rows", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "cost (spread)"):
        shown.add_column(heading)
    names = list(dict.fromkeys(one.contestant for one in rounds[0]))
    for work in WORKS:
        for name in names:
            shown.add_row(*_row(rounds, work, name, names[0]))
        shown.add_section()
    return shown


def _row(rounds: Sequence[list[Turn]], work: Work, name: str, first: str) -> list[str]:
    turns = _of(rounds, work, name)
    return [
        str(work),
        name,
        f"{median(one.per_second for one in turns):,.0f}",
        f"{median(one.p50 for one in turns):.1f}",
        f"{median(one.p99 for one in turns):.1f}",
        f"{median(one.cpu or 0 for one in turns):.0f}",
        str(_cost(rounds, work, first, name)),
    ]


if __name__ == "__main__":
    typer.run(main)
