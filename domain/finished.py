"""Which subscriptions have finished with a deleted user, as a data protection officer asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.changes import Change, Kind
from domain.subscriptions import NOTHING_LEFT, SetAside, SubscriptionStanding, made_of


class EndingState(StrEnum):
    """Whether a subscription has finished with a deleted user."""

    FINISHED = "finished"
    """Nothing about the user is still to be delivered."""

    NOT_FINISHED = "not finished"

    NOT_TOLD = "not told"
    """It wants deletions, and this one was given up: its receiver may still have the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a subscription stands with a deleted user.

    `deletion` says what it made of the deletion; `left` counts the changes still to be delivered.
    """

    subscription: str
    state: EndingState
    deletion: str
    left: int


def endings(
    changes: Sequence[Change],
    standings: Sequence[SubscriptionStanding],
    asides: Mapping[str, Sequence[SetAside]],
) -> Sequence[Ending]:
    """One for each subscription. `changes` are all of one user, oldest first.

    Empty if the last of them is no deletion.
    """
    if not changes or changes[-1].kind is not Kind.DELETED:
        return ()
    return [_ending(changes, one, asides.get(one.name, ())) for one in standings]


def _ending(
    changes: Sequence[Change], standing: SubscriptionStanding, asides: Sequence[SetAside]
) -> Ending:
    made = made_of(changes, standing, asides)
    left = sum(words not in NOTHING_LEFT for words in made)
    return Ending(
        subscription=standing.name, state=_state(made[-1], left), deletion=made[-1], left=left
    )


def _state(deletion: str, left: int) -> EndingState:
    if left:
        return EndingState.NOT_FINISHED
    return EndingState.NOT_TOLD if deletion == "given up" else EndingState.FINISHED
