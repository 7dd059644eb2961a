"""One run: execute a plan, end all failures, compare the table with Clerk."""

import random
import sys
from collections import Counter
from dataclasses import dataclass

from tests.simulation.plans import Plan, plan_of
from tests.simulation.stores import MemoryStore, Store
from tests.simulation.virtual_time import live_through
from tests.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The result of a run: counts of its events, and a digest of its trace."""

    happened: Counter[str]
    looks: int
    digest: str


def simulate(plan: Plan, store: Store) -> Ended:
    """Raises `AssertionError` with the broken laws or the remaining differences."""
    # Our retries draw their jitter from the global generator.
    random.seed(plan.chance)
    return live_through(_run(plan, store))


async def _run(plan: Plan, store: Store) -> Ended:
    world = World(plan, store)
    try:
        await world.live()
        await world.heal()
        healed = store.table()
        assert world.laws.broken == [], world.fortune.trace
        assert world.differences() == {}, world.fortune.trace
        await world.replay()
        assert store.table() == healed, "a replay changes nothing"
    finally:
        await world.end()
    return Ended(
        happened=world.fortune.happened, looks=world.laws.looks, digest=world.fortune.digest
    )


if __name__ == "__main__":
    print(simulate(plan_of(int(sys.argv[1])), MemoryStore()).digest)
