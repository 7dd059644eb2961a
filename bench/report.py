"""Medians over the rounds, and ratios within each round, so that noise affects both sides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from bench.rounds import Turn
from bench.works import Work


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of speeds: the median of the rounds, the least and the greatest."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}-{self.most:.2f})"


def ratio(rounds: Sequence[list[Turn]], work: Work, ours: str, other: str) -> Ratio:
    """`ours` over `other`, in requests per second."""
    return spread(
        _turn(turns, work, ours).per_second / _turn(turns, work, other).per_second
        for turns in rounds
    )


def spread(ratios: Iterable[float]) -> Ratio:
    found = sorted(ratios)
    return Ratio(middle=median(found), least=found[0], most=found[-1])


def table(rounds: Sequence[list[Turn]], reference: str) -> Table:
    """The medians of all services, and their ratios to `reference`."""
    title = f"medians of {len(rounds)} interleaved rounds; ratios as median (least-most)"
    shown = Table(title=title, title_justify="left")
    for heading in ("work", "contestant"):
        shown.add_column(heading)
    for heading in ("req/s", "p50 ms", "p99 ms", "CPU µs/req", "memory MB", f"{reference} ÷"):
        shown.add_column(heading, justify="right")
    for work in dict.fromkeys(turn.work for turn in rounds[0]):
        for name in dict.fromkeys(turn.contestant for turn in rounds[0]):
            shown.add_row(*_row(rounds, work, name, reference))
        shown.add_section()
    return shown


def _row(rounds: Sequence[list[Turn]], work: Work, name: str, reference: str) -> list[str]:
    turns = [_turn(one, work, name) for one in rounds]
    beside = "" if name == reference else str(ratio(rounds, work, reference, name))
    return [
        str(work),
        name,
        f"{median(turn.per_second for turn in turns):,.0f}",
        f"{median(turn.p50 for turn in turns):.1f}",
        f"{median(turn.p99 for turn in turns):.1f}",
        _or_nothing([turn.cpu for turn in turns]),
        _or_nothing([turn.memory for turn in turns]),
        beside,
    ]


def _or_nothing(figures: list[float | None]) -> str:
    known = [figure for figure in figures if figure is not None]
    return f"{median(known):.0f}" if known else "-"


def _turn(turns: list[Turn], work: Work, name: str) -> Turn:
    return next(turn for turn in turns if (turn.work, turn.contestant) == (work, name))
