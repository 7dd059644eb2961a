"""What the tests measured, as one table at the end of the run (`record_property`)."""

from collections.abc import Iterator

import pytest

Figure = tuple[str, str, object]


def show(terminal: pytest.TerminalReporter) -> None:
    """One line a figure: which test, what, how much. Nothing when nothing was measured."""
    figures = list(_figures(terminal))
    if not figures:
        return
    terminal.section("figures")
    widths = [max(len(str(figure[column])) for figure in figures) for column in (0, 1)]
    for test, name, value in figures:
        terminal.write_line(f"{test:<{widths[0]}}  {name:<{widths[1]}}  {value}")


def _figures(terminal: pytest.TerminalReporter) -> Iterator[Figure]:
    for outcome in ("passed", "failed"):
        for report in terminal.getreports(outcome):
            for name, value in report.user_properties:
                yield report.nodeid.removeprefix("tests/"), name, value
