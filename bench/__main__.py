"""`python -m bench`: compare our service with others, by the same requests to each in turn."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from bench import first_request, pages
from bench.arrivals import TOKENS, World
from bench.contestants import ALONE, EVERYBODY, Contestant, Running, running
from bench.picture import picture
from bench.report import table
from bench.rounds import Course, Turn, one_round
from bench.store import Store, durable_store
from bench.works import Load, Work
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind

CLERK_LATENCY = 0.03
"""Seconds in which the emulated Clerk answers for a user. The real one takes longer."""


def main(
    *,
    peers: Annotated[
        bool, typer.Option(help="Compare with all services, not only the bound.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="The length of each turn.")] = 3.0,
    users: Annotated[int, typer.Option(min=1_000, help="The users in the store before.")] = 10_000,
    svg: Annotated[Path | None, typer.Option(help="Write the picture here.")] = None,
) -> None:
    """Prints medians, ratios and their spread."""
    load = Load(users=users, seconds=seconds)
    turns = asyncio.run(_bench(EVERYBODY if peers else ALONE, load, rounds))
    if svg is not None:
        svg.write_text(picture(turns, "ours"))


async def _bench(contestants: tuple[Contestant, ...], load: Load, rounds: int) -> list[list[Turn]]:
    console = Console(width=120)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(durable_store())
        clerk = await stack.enter_async_context(running_emulator(EmulatorConfig(rate_limit=None)))
        clerk.create_users(TOKENS)
        await store.prepare(load.users, [user.id for user in clerk.users])
        # Before the others, whose writes leave work for Postgres that would slow this down.
        console.print(await pages.compare(await store.add("pages"), rounds))
        clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=CLERK_LATENCY))
        course = Course(works=list(Work), load=load, world=_world(clerk, load.users), store=store)
        started = await _started(stack, contestants, store, clerk)
        turns = []
        for number in track(range(rounds), "rounds", console=console, transient=True):
            turns.append(await one_round(started, course, number))  # noqa: PERF401 - shown as it goes
        console.print(table(turns, "ours"))
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


def _world(clerk: ClerkEmulator, users: int) -> World:
    """Tokens of all users at Clerk, valid for an hour; the store has them and many more users."""
    people = [user.id for user in clerk.users]
    until = clerk.clock() // 1000 + 3600
    return World(
        instance_id=clerk.config.instance_id,
        secret=clerk.config.webhook_secrets[0],
        template=clerk.get_user(people[0]),
        tokens=tuple(clerk.session_token(user_id, exp=until) for user_id in people),
        users=users,
    )


if __name__ == "__main__":
    typer.run(main)
