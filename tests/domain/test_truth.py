"""One sentence on how things stand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.doctor import State
from domain.sweep import Sweep
from domain.truth import Place, Seen, sentence, troubles

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sweep(*, ago: timedelta = timedelta(hours=1), left: int = 0) -> Sweep:
    found = {"missing": left + 2}
    return Sweep(ended_at=NOW - ago, compared=100, found=found, repaired={"missing": 2})


def seen(**changes: Any) -> Seen:
    well = {
        "store": True,
        "schema": True,
        "signing_keys": True,
        "at_clerk": True,
        "last_delivery_at": NOW - timedelta(seconds=12),
        "sweep": sweep(),
        "any_entries": True,
    }
    return Seen(**{**well, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "In agreement with Clerk; last delivery 12 s ago."),
        ({"last_delivery_at": None}, "In agreement with Clerk; no delivery lately."),
        (
            {"sweep": None},
            (
                "No sign of disagreement with Clerk, though never compared in full;"
                " last delivery 12 s ago."
            ),
        ),
        (
            {"sweep": sweep(ago=timedelta(days=3))},
            (
                "No sign of disagreement with Clerk, last compared in full 3 d ago;"
                " last delivery 12 s ago."
            ),
        ),
        ({"any_entries": False}, "Nothing has arrived yet."),
        ({"store": False}, "The store cannot be reached."),
        ({"schema": False}, "The store's schema is behind."),
        ({"at_clerk": False}, "Clerk does not answer."),
        ({"quarantined": 1}, "1 delivery could not be applied."),
        ({"quarantined": 1200}, "1,200 deliveries could not be applied."),
        ({"sweep": sweep(left=1)}, "1 user differed from Clerk when last compared."),
        (
            {"silent_users": 3, "quarantined": 2, "at_clerk": False},
            "Webhooks do not reach us: 3 users came without one, and 2 things more.",
        ),
    ],
)
def test_the_sentence_is_true(changes: dict[str, Any], words: str) -> None:
    assert sentence(seen(**changes), NOW) == words


def test_the_worst_comes_first() -> None:
    found = troubles(seen(quarantined=1, signing_keys=False, silent_users=1))
    assert [trouble.state for trouble in found] == [State.BAD, State.BAD, State.WARN]


def test_every_trouble_says_what_to_do_and_where() -> None:
    found = troubles(seen(quarantined=1, silent_users=1, sweep=sweep(left=1)))
    assert {trouble.place for trouble in found} == set(Place)
    assert all(trouble.advice for trouble in found)


def test_without_a_store_nothing_else_is_guessed() -> None:
    assert len(troubles(seen(store=False, schema=False, quarantined=7))) == 1
