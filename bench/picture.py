"""The tables as bars: CPU per request of server and store, one group for each kind of turn."""

from collections.abc import Sequence
from html import escape

from bench.report import Rounds, cpu, middle, of_one_kind, rate, ratio, server_cpu

WIDTH, BAR, GAP, HEAD, LABELS, FIGURES = 760, 20, 6, 40, 110, 250

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; fill: #24292f }
.server { fill: #8c959f } .store { fill: #d0d7de } .ours.server { fill: #0969da }
.ours.store { fill: #80b8f0 } svg { background: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #8b949e } .title { fill: #e6edf3 } .server { fill: #6e7681 }
  .store { fill: #30363d } .ours.server { fill: #388bfd } .ours.store { fill: #1f4b8a }
  svg { background: #0d1117 }
}
"""


def picture(rounds: Rounds, reference: str) -> str:
    """An SVG without external parts. Empty if the system does not tell the CPU."""
    groups, top = [], 0
    for kind, turns in of_one_kind(rounds).items():
        drawn, height = _group(kind, turns, reference, top)
        groups.append(drawn)
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" '
        f'height="{top}" role="img" aria-label="CPU per request beside others">'
        f"<style>{STYLE}</style>{''.join(groups)}</svg>\n"
    )


def _group(kind: str, rounds: Rounds, reference: str, top: int) -> tuple[str, int]:
    names = [turn.contestant for turn in rounds[0]]
    costs = {name: middle(rounds, cpu, name) or 0.0 for name in names}
    cheapest = sorted(costs, key=costs.__getitem__)
    scale = (WIDTH - LABELS - FIGURES) / (max(costs.values()) or 1.0)
    title = f"{kind}: µs of CPU, server and store"
    head = f'<text class="title" x="0" y="{top + 24}">{escape(title)}</text>'
    bars = [
        _bar(
            name,
            kind=" ours" if name == reference else "",
            lengths=[(middle(rounds, server_cpu, name) or 0.0) * scale, costs[name] * scale],
            figure=_figure(rounds, reference, name),
            top=top + HEAD + place * (BAR + GAP),
        )
        for place, name in enumerate(cheapest)
    ]
    return head + "".join(bars), HEAD + len(bars) * (BAR + GAP) + 10


def _figure(rounds: Rounds, reference: str, name: str) -> str:
    words = f"{middle(rounds, cpu, name) or 0.0:,.0f} µs"
    if name != reference and (found := ratio(rounds, cpu, name, reference)):
        words += f" = {found.middle:.2f} x {reference}"
    return f"{words}; {middle(rounds, rate, name) or 0.0:,.0f}/s"


def _bar(name: str, *, kind: str, lengths: Sequence[float], figure: str, top: int) -> str:
    """The whole length in the store's colour, and the server's part of it above."""
    server, both = lengths
    base = top + BAR - 5
    at = f'x="{LABELS}" y="{top}" height="{BAR}"'
    return (
        f'<text x="0" y="{base}">{escape(name)}</text>'
        f'<rect class="store{kind}" {at} width="{max(1.0, both):.0f}"/>'
        f'<rect class="server{kind}" {at} width="{server:.0f}"/>'
        f'<text x="{LABELS + both + 8:.0f}" y="{base}">{escape(figure)}</text>'
    )
