"""`python -m bench`: compare our service with others, by the same requests to each in turn."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from bench import first_request, pages
from bench.arrivals import TOKENS
from bench.contestants import ALONE, EVERYBODY, Contestant, Running, running
from bench.interpreter import interpreter
from bench.picture import picture
from bench.report import quiet, tables
from bench.rounds import Course, Turn, one_round
from bench.signed_in import signed_in
from bench.store import Store, durable_store
from bench.works import Load, Work
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind

CLERK_LATENCY = 0.03
"""Seconds in which the emulated Clerk answers for a user. The real one takes longer."""

AT_REST = 50
"""Requests a second of the last turns, which leave the services idle most of the time."""

LONGER = 4
"""These turns are so many times as long: the system tells CPU in steps of 10 ms."""


def main(
    *,
    peers: Annotated[
        bool, typer.Option(help="Compare with all services, not only the plain server.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[
        float, typer.Option(min=0.2, help="The length of each turn; at rest it is longer.")
    ] = 3.0,
    users: Annotated[int, typer.Option(min=1_000, help="The users in the store before.")] = 10_000,
    connections: Annotated[
        str, typer.Option(help="Numbers of connections, with commas, the most last.")
    ] = "32,64",
    tries: Annotated[
        int, typer.Option(min=1, help="Tries of a turn, if other processes disturb it.")
    ] = 3,
    svg: Annotated[
        Path | None, typer.Option(help="Write the picture here: of the most connections.")
    ] = None,
) -> None:
    """Prints medians, ratios and their spread. CPU is measured on Linux only."""
    crowds = [
        Load(users=users, seconds=seconds, connections=int(number))
        for number in connections.split(",")
    ]
    at_rest = Load(users=users, seconds=LONGER * seconds, connections=4, a_second=AT_REST)
    turns = asyncio.run(_bench(EVERYBODY if peers else ALONE, [*crowds, at_rest], rounds, tries))
    if svg is not None:
        drawn = [[turn for turn in one if turn.load == crowds[-1]] for one in turns]
        svg.write_text(picture(drawn, "ours"))


async def _bench(
    contestants: tuple[Contestant, ...], loads: Sequence[Load], rounds: int, tries: int
) -> list[list[Turn]]:
    console = Console(width=130)
    console.print(f"{interpreter()}; {os.cpu_count()} cores")
    users = loads[0].users
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(durable_store())
        clerk = await stack.enter_async_context(running_emulator(EmulatorConfig(rate_limit=None)))
        clerk.create_users(TOKENS)
        await store.prepare(users, [user.id for user in clerk.users])
        # Before the others, whose writes leave work for Postgres that would slow this down.
        console.print(await pages.compare(await store.add("pages"), rounds))
        clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=CLERK_LATENCY))
        world = signed_in(clerk, [user.id for user in clerk.users], users)
        courses = [
            Course(works=list(Work), load=load, world=world, store=store, tries=tries)
            for load in loads
        ]
        started = await _started(stack, contestants, store, clerk)
        turns: list[list[Turn]] = []
        for number in track(range(rounds), "rounds", console=console, transient=True):
            turns.append([])
            for course in courses:
                turns[-1] += await one_round(started, course, number)
        console.print(*tables(turns, "ours"), quiet(turns))
        console.print(await first_request.compare(started[0], clerk, rounds))
    return turns


async def _started(
    stack: AsyncExitStack, contestants: tuple[Contestant, ...], store: Store, clerk: ClerkEmulator
) -> list[Running]:
    started = []
    for contestant in contestants:
        environment = {
            **clerk.config.environment(),
            "CLERK_JWT_KEY": clerk.keys.public_pem(),
            "DATABASE_URL": await store.add(contestant.name),
            "CLERK_RATE_LIMIT": "1000000",
            "HOST": "127.0.0.1",
        }
        started.append(await stack.enter_async_context(running(contestant, environment)))
    return started


if __name__ == "__main__":
    typer.run(main)
