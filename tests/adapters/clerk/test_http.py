from datetime import UTC, datetime

import httpx
import pytest

from adapters.clerk.http import Answer

DATE = "Thu, 09 Oct 2025 08:53:20 GMT"


def answer(**headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=429, headers=httpx.Headers(named), body=b"", seconds=0.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("86400", 86_400),
        ("Thu, 09 Oct 2025 08:53:30 GMT", 10),
        ("Thu, 09 Oct 2025 08:53:10 GMT", 0),
        ("Thu, 09 Oct 2025 08:53:30 -0000", 10),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 5_000, None),
        ("7, 8", None),
        ("Thu, 99 Oct 99999 08:53:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str, seconds: float | None) -> None:
    assert answer(retry_after=value, date=DATE).retry_after == seconds


def test_retry_after_may_be_missing() -> None:
    assert answer(date=DATE).retry_after is None


def test_date_is_the_servers_own_clock() -> None:
    assert answer(date=DATE).date == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "yesterday", "Thu, 32 Oct 2025 08:53:20 GMT"])
def test_date_is_none_when_it_makes_no_sense(value: str) -> None:
    assert answer(date=value).date is None
