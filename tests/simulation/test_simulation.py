"""Simulated worlds with faults, each from one seed; after the faults they agree with Clerk.

`SIMULATION_SEED=… make test PYTEST_ARGS=tests/simulation` repeats one of them, event by event.
`SIMULATION_RUNS` is how many the slow tests simulate.
"""

import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgres_server import TemporaryStore
from tests.simulation.plans import DURATIONS, PAUSES, SKEWS, Deed, Plan, Step, plan_of
from tests.simulation.simulate import simulate
from tests.simulation.stores import MemoryStore, PostgresStore, Store, postgres_store

SEED = os.environ.get("SIMULATION_SEED")
RUNS = int(os.environ.get("SIMULATION_RUNS", "1000"))
SEEDS = range(12) if SEED is None else (int(SEED),)
SEEDS_ON_POSTGRES = range(2) if SEED is None else (int(SEED),)

Record = Callable[[str, object], None]

steps = st.builds(
    Step,
    deed=st.sampled_from(Deed),
    pause=st.sampled_from(PAUSES),
    who=st.integers(0, 5),
    where=st.integers(0, 5),
    seconds=st.sampled_from(DURATIONS),
)
plans = st.builds(
    Plan,
    chance=st.integers(0, 2**32 - 1),
    steps=st.lists(steps, max_size=30).map(tuple),
    skew=st.sampled_from(SKEWS),
    misfortune=st.sampled_from((0.0, 0.1, 0.3)),
)


@pytest.fixture(scope="module")
def server(lasting_store: TemporaryStore) -> Iterator[PostgresStore]:
    with postgres_store(lasting_store.url) as store:
        yield store


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_world_with_all_faults_agrees_with_clerk_after_they_end(seed: int) -> None:
    simulate(plan_of(seed), MemoryStore())


@pytest.mark.parametrize("seed", SEEDS_ON_POSTGRES)
def test_so_does_one_on_a_real_store(server: PostgresStore, seed: int) -> None:
    simulate(plan_of(seed), _emptied(server))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans)
def test_no_history_breaks_a_law(plan: Plan) -> None:
    """Drawn so that what fails shrinks to the fewest steps that fail."""
    simulate(plan, MemoryStore())


def test_a_seed_is_a_history() -> None:
    once, again, another = (simulate(plan_of(seed), MemoryStore()).digest for seed in (7, 7, 8))
    assert once == again != another


@pytest.mark.slow
def test_a_seed_is_the_same_history_in_another_process() -> None:
    here = simulate(plan_of(7), MemoryStore()).digest
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-m", "tests.simulation.simulate", "7"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_on_a_real_store_it_is_one_too(server: PostgresStore) -> None:
    once, again = (simulate(plan_of(7), _emptied(server)).digest for _ in range(2))
    assert once == again


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_simulated_worlds_agree_with_clerk_after_all_faults_end(
    record_property: Record,
) -> None:
    happened = _live(_fresh_seeds(RUNS), MemoryStore)
    record_property("worlds", RUNS)
    record_property("happened", {str(deed): times for deed, times in happened.items()})
    assert all(happened[deed] for deed in Deed), "something never happened"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_worlds_on_a_real_store_do_too(
    server: PostgresStore, record_property: Record
) -> None:
    runs = max(1, RUNS // 10)
    happened = _live(_fresh_seeds(runs), lambda: _emptied(server))
    record_property("worlds", runs)
    record_property("happened", {str(deed): times for deed, times in happened.items()})


def _fresh_seeds(runs: int) -> Iterable[int]:
    first = secrets.randbelow(2**32) if SEED is None else int(SEED)
    return range(first, first + runs)


def _live(seeds: Iterable[int], store: Callable[[], Store]) -> Counter[str]:
    happened: Counter[str] = Counter()
    for seed in seeds:
        print(f"SIMULATION_SEED={seed}")
        happened += simulate(plan_of(seed), store()).happened
    return happened


def _emptied(store: PostgresStore) -> PostgresStore:
    store.empty()
    return store
