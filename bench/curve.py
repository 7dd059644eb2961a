"""The cost of a request by the number of rows, as an SVG with a band of a quarter."""

from collections.abc import Sequence
from math import log10

from bench.works import Work

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 60, 170, 30, 40
LEAST, MOST = 0.5, 1.5
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a } .band { fill: #ddf4ff }
polyline { fill: none; stroke: #0969da; stroke-width: 2 } .second { stroke: #8c959f }
svg { background: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #8b949e } .band { fill: #12233a } polyline { stroke: #388bfd }
  .second { stroke: #6e7681 } svg { background: #0d1117 }
}
"""


def curve(users: Sequence[int], lines: Sequence[Sequence[float]]) -> str:
    """`lines` are the costs of a known user and a fresh delivery at each of `users`."""
    band = f'<rect class="band" x="{LEFT}" y="{height(1.25):.0f}" width="{WIDTH - LEFT - RIGHT}" '
    band += f'height="{height(0.75) - height(1.25):.0f}"/>'
    named = zip(("first", "second"), (Work.KNOWN_USER, Work.FRESH_DELIVERY), lines, strict=True)
    drawn = "".join(_line(kind, work, users, costs) for kind, work, costs in named)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="Cost of a request against rows">'
        f"<style>{STYLE}</style>{band}{_ticks(users)}{drawn}</svg>\n"
    )


def height(cost: float) -> float:
    """The height at which a cost is drawn; beyond the edges, at the edge."""
    inside = min(max(cost, LEAST), MOST)
    return TOP + (MOST - inside) / (MOST - LEAST) * (HEIGHT - TOP - BOTTOM)


def _across(users: Sequence[int], one: int) -> float:
    share = log10(one / users[0]) / (log10(users[-1] / users[0]) or 1.0)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _line(kind: str, work: Work, users: Sequence[int], costs: Sequence[float]) -> str:
    spots = [
        f"{_across(users, one):.0f},{height(cost):.0f}"
        for one, cost in zip(users, costs, strict=True)
    ]
    top = TOP + 12 + (18 if kind == "second" else 0)
    x = WIDTH - RIGHT + 12
    return (
        f'<polyline class="{kind}" points="{" ".join(spots)}"/>'
        f'<polyline class="{kind}" points="{x},{top} {x + 20},{top}"/>'
        f'<text x="{x + 26}" y="{top + 4}">{work}</text>'
    )


def _ticks(users: Sequence[int]) -> str:
    rows = "".join(
        f'<text x="{_across(users, one):.0f}" y="{HEIGHT - 14}" text-anchor="middle">{one:,}</text>'
        for one in users
    )
    return rows + "".join(
        f'<text x="8" y="{height(cost) + 4:.0f}">x {cost:.2f}</text>' for cost in (0.75, 1.0, 1.25)
    )
