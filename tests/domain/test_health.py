"""The findings about health, and the sentence that sums them up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import health
from domain.drift import Sweep
from domain.finding import Finding, Place, State
from domain.schema import SchemaState, Standing
from domain.summary import sentence, troubles

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sweep(*, ago: timedelta = timedelta(hours=1), left: int = 0, unreadable: int = 0) -> Sweep:
    found = {"missing": left + 2, "unreadable": unreadable}
    return Sweep(ended_at=NOW - ago, compared=100, found=found, repaired={"missing": 2})


def found(
    *,
    store: str | None = None,
    schema: Standing = Standing.AT_HEAD,
    keys: bool = True,
    clerk: str | None = None,
    quarantined: int = 0,
    silent_users: int = 0,
    sweep: Sweep | None = None,
) -> list[Finding]:
    return [
        health.store(store),
        health.schema(SchemaState(standing=schema)),
        health.signing_keys(loaded=keys),
        health.clerk(clerk),
        health.quarantine(quarantined),
        health.webhooks(silent_users),
        health.drift(sweep),
    ]


WELL: dict[str, Any] = {
    "sweep": sweep(),
    "last_delivery_at": NOW - timedelta(seconds=12),
    "any_entries": True,
}


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
    ],
)
def test_when_all_is_well_the_sentence_says_since_when(changes: dict[str, Any], words: str) -> None:
    assert sentence(found(), now=NOW, **{**WELL, **changes}) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"store": "no such host"}, "The store cannot be reached: no such host."),
        ({"schema": Standing.BEHIND}, "The store's schema is behind."),
        ({"clerk": ""}, "Clerk does not answer."),
        ({"quarantined": 1}, "1 delivery could not be applied."),
        ({"quarantined": 1200}, "1,200 deliveries could not be applied."),
        ({"sweep": sweep(left=1)}, "1 user differed from Clerk in the last comparison."),
        ({"sweep": sweep(unreadable=1)}, "1 user could not be read in the last comparison."),
        (
            {"sweep": sweep(left=1, unreadable=2)},
            "1 user differed from Clerk and 2 users could not be read in the last comparison.",
        ),
        (
            {"silent_users": 3, "quarantined": 2, "clerk": ""},
            "Webhooks do not reach us: 3 users were created without one, and 2 things more.",
        ),
    ],
)
def test_otherwise_it_says_the_worst(changes: dict[str, Any], words: str) -> None:
    assert sentence(found(**changes), now=NOW, **WELL) == words


def test_the_worst_comes_first() -> None:
    worst = troubles(found(quarantined=1, keys=False, silent_users=1))
    assert [trouble.state for trouble in worst] == [State.BAD, State.BAD, State.WARN]


def test_every_trouble_says_what_to_do_and_where() -> None:
    wrong = troubles(found(quarantined=1, silent_users=1, sweep=sweep(left=1)))
    assert {trouble.place for trouble in wrong} == set(Place) - {Place.SUBSCRIPTIONS}
    assert all(trouble.advice for trouble in wrong)


def test_without_a_store_nothing_else_is_guessed() -> None:
    assert [one.about for one in troubles(found(store="away", quarantined=7))] == ["store"]


def test_what_keeps_the_service_from_serving_is_unready_and_nothing_else() -> None:
    wrong = found(
        store="x", schema=Standing.BEHIND, keys=False, clerk="x", quarantined=1, silent_users=1
    )
    assert {one.about for one in wrong if one.unready} == {"store", "schema", "signing_keys"}


def test_no_comparison_is_not_called_one_that_found_nothing() -> None:
    assert health.drift(None).words == "never compared in full yet"
    assert health.drift(sweep()).words == "the last comparison left no difference"
