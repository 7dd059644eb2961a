"""What doctor and the console say of all subscriptions together."""

from datetime import timedelta

import pytest

from domain.finding import State
from domain.subscription_health import changes
from domain.subscriptions import SubscriptionStanding, Wants
from tests.people import at

LATE = timedelta(minutes=6).total_seconds()


def standing(**fields: object) -> SubscriptionStanding:
    usual: dict[str, object] = {
        "name": "mail",
        "wants": Wants(),
        "position": 1,
        "begins_after": 0,
        "holder": "us",
        "behind": 0,
        "behind_seconds": 0.0,
        "waiting": 0,
        "parked": 0,
        "given_up": 0,
        "moved_at": at(0),
        "fell_behind": False,
    }
    return SubscriptionStanding(**{**usual, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stands", "state", "words"),
    [
        ({}, State.OK, "1 subscription to changes, none in trouble"),
        ({"fell_behind": True}, State.BAD, "is not in the log"),
        ({"behind": 7, "behind_seconds": LATE}, State.WARN, "is slow: 7 changes behind, 6 min"),
        ({"behind": 7, "behind_seconds": LATE, "holder": None}, State.WARN, "is run by no process"),
        (
            {"waiting": 1, "behind_seconds": LATE, "holder": None},
            State.WARN,
            "is run by no process: 1 change to try again, 6 min",
        ),
    ],
)
def test_subscriptions_are_changes(stands: dict[str, object], state: State, words: str) -> None:
    found = changes([standing(**stands)])
    assert (found.state, words in found.words) == (state, True)


def test_of_several_troubles_the_worst_is_told() -> None:
    found = changes([standing(parked=3), standing(name="post", fell_behind=True)])
    assert (found.state, "post" in found.words) == (State.BAD, True)
