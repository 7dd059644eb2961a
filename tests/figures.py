"""What tests measure and pass to `record_property`, as one table at the end of the run."""

from collections.abc import Iterator

import pytest

Figure = tuple[str, str, object]


def show(terminal: pytest.TerminalReporter) -> None:
    """One line for each figure: test, name, value. Prints nothing if there are no figures."""
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
