"""Medians over the rounds, and ratios within each round, so that noise affects both sides."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from bench.rounds import DISTURBED, Turn

Figure = Callable[[Turn], float | None]
Rounds = Sequence[Sequence[Turn]]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio: the median of the rounds, the least and the greatest."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}-{self.most:.2f})"


def spread(ratios: Iterable[float]) -> Ratio:
    found = sorted(ratios)
    return Ratio(middle=median(found), least=found[0], most=found[-1])


def rate(turn: Turn) -> float | None:
    return turn.per_second


def p50(turn: Turn) -> float | None:
    return turn.p50


def cpu(turn: Turn) -> float | None:
    return turn.cpu


def server_cpu(turn: Turn) -> float | None:
    return turn.server_cpu


def of_one_kind(rounds: Rounds) -> dict[str, list[list[Turn]]]:
    """The turns of each round by what was asked, in the order in which it was."""
    kinds = dict.fromkeys(turn.kind for turn in rounds[0])
    return {
        kind: [[one for one in turns if one.kind == kind] for turns in rounds] for kind in kinds
    }


def ratio(rounds: Rounds, figure: Figure, above: str, below: str) -> Ratio | None:
    """A figure of the service `above` over that of `below`, in turns of one kind."""
    pairs = [(figure(_of(turns, above)), figure(_of(turns, below))) for turns in rounds]
    known = [a / b for a, b in pairs if a is not None and b]
    return spread(known) if known else None


def middle(rounds: Rounds, figure: Figure, name: str) -> float | None:
    """The median of a service, in turns of one kind."""
    known = [value for turns in rounds if (value := figure(_of(turns, name))) is not None]
    return median(known) if known else None


def tables(rounds: Rounds, reference: str) -> list[Table]:
    """One for each kind of turn: CPU first, for requests per second measure the scheduler too.

    Where the client sets the pace, the services' latencies are compared and not their rates.
    """
    return [_table(kind, turns, reference) for kind, turns in of_one_kind(rounds).items()]


def quiet(rounds: Rounds) -> str:
    """How many turns were repeated because others disturbed them, and how many stayed disturbed."""
    turns = [turn for one in rounds for turn in one]
    if any(turn.disturbance is None for turn in turns):
        return "This system does not tell whether others disturbed a turn."
    again = sum(turn.tries - 1 for turn in turns)
    still = sum(turn.is_disturbed for turn in turns)
    return (
        f"{len(turns)} turns and {again} repetitions; {still} stayed disturbed: others kept more "
        f"than {DISTURBED:.1f} of a core busy (at most {max(map(_cores, turns)):.2f})."
    )


def _table(kind: str, rounds: Rounds, reference: str) -> Table:
    word, figure = ("req/s", rate) if rounds[0][0].load.a_second is None else ("p50", p50)
    title = f"{kind}: medians of {len(rounds)} rounds; ratios as median (least-most)"
    shown = Table("contestant", title=title, title_justify="left")
    for heading in (
        *("server µs", "store µs", f"both ÷ {reference}", f"server ÷ {reference}"),
        *("req/s", "p50 ms", "p99 ms", f"{word} {reference} ÷", "MB"),
    ):
        shown.add_column(heading, justify="right")
    for name in dict.fromkeys(turn.contestant for turn in rounds[0]):
        shown.add_row(name, *_row(rounds, name, reference, figure))
    return shown


def _row(rounds: Rounds, name: str, reference: str, compared: Figure) -> list[str]:
    def beside(figure: Figure, above: str, below: str) -> str:
        found = None if name == reference else ratio(rounds, figure, above, below)
        return str(found or "")

    return [
        _whole(middle(rounds, server_cpu, name)),
        _whole(middle(rounds, lambda turn: turn.store_cpu, name)),
        beside(cpu, name, reference),
        beside(server_cpu, name, reference),
        _whole(middle(rounds, rate, name)),
        f"{middle(rounds, p50, name):.1f}",
        f"{middle(rounds, lambda turn: turn.p99, name):.1f}",
        beside(compared, reference, name),
        _whole(middle(rounds, lambda turn: turn.memory, name)),
    ]


def _whole(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f}"


def _cores(turn: Turn) -> float:
    return turn.disturbance or 0.0


def _of(turns: Iterable[Turn], name: str) -> Turn:
    return next(turn for turn in turns if turn.contestant == name)
