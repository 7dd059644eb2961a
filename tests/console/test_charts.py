"""What a chart counts, and what it draws."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.postgres.console_statements import BLOCK, BLOCKS, COUNTED, blocks
from domain.console import Activity, Bucket
from service.console.charts import bar_chart

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("ids", [1, 799, COUNTED - 1, COUNTED])
def test_of_few_all_are_counted(ids: int) -> None:
    apart, length = blocks(1_000, 999 + ids)
    assert apart == length


@pytest.mark.parametrize("ids", [COUNTED + 1, 10**6, 10**9])
def test_of_many_no_more_is_looked_at(ids: int) -> None:
    apart, length = blocks(1, ids)
    assert length == BLOCK
    assert len(range(1, ids + 1, apart)) <= BLOCKS


def test_of_nothing_nothing_is_counted() -> None:
    assert blocks(0, 0) == (1, 1)


def test_only_what_happened_is_in_the_legend() -> None:
    counts: tuple[dict[str, int], ...] = ({"created": 2, "stale": 0}, {}, {"gone": 1})
    buckets = tuple(Bucket(start=NOON, outcomes=outcomes) for outcomes in counts)
    chart = bar_chart(Activity(step=timedelta(minutes=1), buckets=buckets))
    assert (chart.outcomes, chart.highest) == (("created", "gone"), 2)
