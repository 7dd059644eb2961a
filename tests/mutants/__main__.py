"""`python -m tests.mutants`: how many mistakes the tests find, and which they miss."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.mutants.python import Mutant, python_mutants
from tests.mutants.sql import sql_mutants
from tests.mutants.statements import is_stillborn, prepared_database
from tests.mutants.targets import TARGETS, Target
from tests.mutants.trial import Verdict, try_out, warm_up

Counts = Counter[Verdict]


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(TARGETS)}.")] = None,
    *,
    only: Annotated[str, typer.Option(help="Their numbers, comma-separated.")] = "",
    show: Annotated[bool, typer.Option(help="List the mistakes without trying them.")] = False,
) -> None:
    """Make one mistake at a time in the targets, and print those that no test finds."""
    chosen = {name: TARGETS[name] for name in names or TARGETS}
    numbers = {int(number) for number in only.split(",") if number}
    console = Console(width=160, highlight=False)
    counts: dict[str, Counts] = {}
    with _store():
        for name, target in chosen.items():
            mutants = [(n, m) for n, m in _mutants(target) if not numbers or n in numbers]
            if show:
                _list(console, name, mutants)
                continue
            warm_up(target.tests)
            counts[name] = _tried(console, name, mutants)
    if counts:
        console.print(_table(counts))


def _mutants(target: Target) -> Iterator[tuple[int, Mutant]]:
    source = target.path.read_text()
    yield from enumerate(sql_mutants(source) if target.sql else python_mutants(source), 1)


def _list(console: Console, name: str, mutants: list[tuple[int, Mutant]]) -> None:
    for number, mutant in mutants:
        console.print(f"{name} {number}: {mutant}", markup=False, soft_wrap=True)


def _tried(console: Console, name: str, mutants: list[tuple[int, Mutant]]) -> Counts:
    target, counts = TARGETS[name], Counts()
    seconds = _patience(target)
    for number, mutant in mutants:
        verdict = try_out(target, mutant.source, seconds, is_stillborn)
        counts[verdict] += 1
        if verdict in {Verdict.SURVIVED, Verdict.TIMED_OUT}:
            _list(console, f"{verdict}: {name}", [(number, mutant)])
    return counts


def _patience(target: Target) -> float:
    """The time limit in seconds: four times what the tests take on the unchanged module."""
    started = time.monotonic()
    if try_out(target, target.path.read_text(), 600, is_stillborn) is not Verdict.SURVIVED:
        raise SystemExit(f"{target.module}: the tests fail without any mistake")
    return max(30.0, 4 * (time.monotonic() - started))


def _table(counts: dict[str, Counts]) -> Table:
    table = Table("", *Verdict, "share noticed")
    for name, count in {**counts, "all": sum(counts.values(), Counts())}.items():
        noticed = count[Verdict.KILLED] + count[Verdict.TIMED_OUT]
        born = max(1, noticed + count[Verdict.SURVIVED])
        table.add_row(name, *(str(count[v]) for v in Verdict), f"{noticed / born:.1%}")
    return table


@contextmanager
def _store() -> Iterator[None]:
    """One Postgres for all trials, unless `TEST_POSTGRES_URL` names one."""
    from tests.postgres_server import start_postgres_server

    if "TEST_POSTGRES_URL" in os.environ:
        prepared_database()
        yield
        return
    server = start_postgres_server()
    os.environ["TEST_POSTGRES_URL"] = server.url
    try:
        prepared_database()
        yield
    finally:
        server.stop()


if __name__ == "__main__":
    typer.run(main)
