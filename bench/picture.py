"""The table as bars: requests per second, one group for each work."""

from collections.abc import Sequence
from html import escape
from statistics import median

from bench.report import ratio
from bench.rounds import Turn
from bench.works import Work

WIDTH, BAR, GAP, HEAD, LABELS, FIGURES = 760, 20, 6, 40, 110, 170

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; fill: #24292f }
.bar { fill: #8c959f } .ours { fill: #0969da } svg { background: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #8b949e } .title { fill: #e6edf3 } .bar { fill: #484f58 } .ours { fill: #388bfd }
  svg { background: #0d1117 }
}
"""


def picture(rounds: Sequence[list[Turn]], reference: str) -> str:
    """An SVG without external parts."""
    groups, top = [], 0
    for work in dict.fromkeys(turn.work for turn in rounds[0]):
        drawn, height = _group(rounds, work, reference, top)
        groups.append(drawn)
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" '
        f'height="{top}" role="img" aria-label="Requests per second beside others">'
        f"<style>{STYLE}</style>{''.join(groups)}</svg>\n"
    )


def _group(rounds: Sequence[list[Turn]], work: Work, reference: str, top: int) -> tuple[str, int]:
    rates = {turn.contestant: _rate(rounds, turn) for turn in rounds[0] if turn.work == work}
    fastest = sorted(rates, key=rates.__getitem__, reverse=True)
    title = f'<text class="title" x="0" y="{top + 24}">{escape(f"{work}: {work.request}")}</text>'
    bars = [
        _bar(
            name,
            kind="bar ours" if name == reference else "bar",
            length=max(1.0, rates[name] / rates[fastest[0]] * (WIDTH - LABELS - FIGURES)),
            figure=f"{rates[name]:,.0f}/s{_beside(rounds, work, reference, name)}",
            top=top + HEAD + place * (BAR + GAP),
        )
        for place, name in enumerate(fastest)
    ]
    return title + "".join(bars), HEAD + len(bars) * (BAR + GAP) + 10


def _beside(rounds: Sequence[list[Turn]], work: Work, reference: str, name: str) -> str:
    if name == reference:
        return ""
    return f"   {reference} x {ratio(rounds, work, reference, name).middle:.2f}"


def _bar(name: str, *, kind: str, length: float, figure: str, top: int) -> str:
    base = top + BAR - 5
    return (
        f'<text x="0" y="{base}">{escape(name)}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{length:.0f}" height="{BAR}" rx="3"/>'
        f'<text x="{LABELS + length + 8:.0f}" y="{base}">{escape(figure)}</text>'
    )


def _rate(rounds: Sequence[list[Turn]], like: Turn) -> float:
    return median(
        turn.per_second
        for turns in rounds
        for turn in turns
        if (turn.work, turn.contestant) == (like.work, like.contestant)
    )
