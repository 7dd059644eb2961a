"""No setting, metric, exit code, table, log event or HTTP answer that is not on its page of docs/reference/."""

import pytest

from service.metrics import PREFIX
from tests.docs.reference import (
    Page,
    Row,
    answers,
    codes,
    exit_codes,
    faults,
    log_events,
    metrics,
    settings,
    tables,
)
from tests.postgres_server import Sql

KNOWN = {
    "metrics": (metrics, 4),
    "settings": (settings, 3),
    "exit-codes": (exit_codes, 3),
    "http": (answers, 3),
    "error-codes": (codes, 3),
    "log": (log_events, 3),
}


@pytest.mark.parametrize("page", KNOWN)
def test_the_page_has_everything_that_the_code_has_and_nothing_else(page: str) -> None:
    known, columns = KNOWN[page]
    found = faults(Page(page), known(), columns=columns)
    assert not found, "\n".join(["", *found])


async def test_the_page_of_the_tables_has_every_column(sql: Sql) -> None:
    found = faults(Page("tables"), await tables(sql), columns=4)
    assert not found, "\n".join(["", *found])


def test_every_metric_has_our_prefix() -> None:
    assert [name for name, *_ in metrics() if not name.startswith(f"`{PREFIX}")] == []


A_PAGE: list[Row] = [("`one`", "1", "the first"), ("`two`", "2", "…")]


def test_what_is_missing_incomplete_or_left_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "rows", A_PAGE)
    assert faults(Page("x"), [("`two`", "2"), ("`three`", "3")], columns=3) == [
        "docs/reference/x.md: complete this line:\n| `two` | 2 | … |",
        "docs/reference/x.md: add this line, and say what … is:\n| `three` | 3 | … |",
        "docs/reference/x.md: the code knows nothing of this line:\n| `one` | 1 | the first |",
    ]
