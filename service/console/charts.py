"""The coordinates of the charts. The templates draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.console import Activity, Bucket

WIDTH, HEIGHT = 720, 120
"""Of a chart, in its own units."""

OUTCOMES = ("created", "updated", "unchanged", "stale", "deleted", "gone", "quarantined")
"""From the bottom of a bar upwards."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One segment of a bar: its outcome and count, and its rectangle."""

    outcome: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """`outcomes` are those that occur; `highest` is the total at its top."""

    bars: tuple[Bar, ...]
    outcomes: tuple[str, ...]
    highest: int


@dataclass(frozen=True, slots=True)
class LineChart:
    """Each line in pieces, with gaps where nothing was measured; `highest` is the top lag."""

    p50: tuple[str, ...]
    p99: tuple[str, ...]
    highest: timedelta


def bar_chart(activity: Activity) -> BarChart:
    """One bar for each step, stacked by outcome."""
    highest = max((bucket.total for bucket in activity.buckets), default=0)
    place = WIDTH / max(1, len(activity.buckets))
    bars = [
        bar
        for number, bucket in enumerate(activity.buckets)
        for bar in _stacked(bucket, number * place, place, highest)
    ]
    drawn = {bar.outcome for bar in bars}
    return BarChart(tuple(bars), tuple(name for name in OUTCOMES if name in drawn), highest)


def line_chart(activity: Activity) -> LineChart:
    """The lags over time."""
    p50 = [bucket.lag_p50 for bucket in activity.buckets]
    p99 = [bucket.lag_p99 for bucket in activity.buckets]
    highest = max((lag for lag in p99 if lag is not None), default=timedelta(0))
    return LineChart(_pieces(p50, highest), _pieces(p99, highest), highest)


def _stacked(bucket: Bucket, x: float, place: float, highest: int) -> list[Bar]:
    bars, top = [], float(HEIGHT)
    for outcome in OUTCOMES:
        if count := bucket.outcomes.get(outcome, 0):
            height = HEIGHT * count / highest
            top -= height
            bars.append(_bar(outcome, count, (x, top), (place * 0.75, height)))
    return bars


def _bar(outcome: str, count: int, corner: tuple[float, float], size: tuple[float, float]) -> Bar:
    numbers = (round(number, 2) for number in (*corner, *size))
    return Bar(outcome, count, *numbers)


def _pieces(lags: Sequence[timedelta | None], highest: timedelta) -> tuple[str, ...]:
    """The points of each piece of the line, as SVG's `points` wants them."""
    place = WIDTH / max(1, len(lags))
    pieces: list[list[str]] = [[]]
    for number, lag in enumerate(lags):
        if lag is None:
            pieces.append([])
            continue
        share = lag / highest if highest else 0.0
        x, y = (number + 0.375) * place, HEIGHT * (1 - max(0.0, share))
        pieces[-1].append(f"{x:.1f},{y:.1f}")
    return tuple(" ".join(_visible(piece)) for piece in pieces if piece)


def _visible(piece: list[str]) -> list[str]:
    """A single point is drawn as a line to itself, which a round cap makes a dot."""
    return piece * 2 if len(piece) == 1 else piece
