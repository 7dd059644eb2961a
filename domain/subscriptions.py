"""Subscriptions to changes: the changes that each wants, its deliveries, and its state."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from domain.changes import Change, Kind
from domain.user import CONTENT_FIELDS, LocalUser, Source, UserId
from domain.words import count_of

NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
"""The shape of a subscription's name, as a regular expression."""

_NAME = re.compile(NAME, re.ASCII)

PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""Seconds between two tries: eight tries within some two hours. Then a change is parked."""

USUAL_SOURCES = frozenset(Source) - {Source.BACKFILL}
"""All but `backfill`, whose users existed before: they should not get a welcome mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """Selects the changes that a subscription gets.

    `fields` restricts `updated` to changes of any of these fields of `User`; empty is every field.
    """

    kinds: frozenset[Kind] = frozenset(Kind)
    sources: frozenset[Source] = USUAL_SOURCES
    fields: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if unknown := sorted(self.fields - set(CONTENT_FIELDS)):
            raise ValueError(f"not a field of a user: {', '.join(unknown)}")

    def __contains__(self, change: Change) -> bool:
        if change.kind not in self.kinds or change.source not in self.sources:
            return False
        is_about_fields = change.kind is Kind.UPDATED and bool(self.fields)
        return not is_about_fields or not self.fields.isdisjoint(change.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as its owner declares it. Times in seconds.

    `begin` applies when the name is first seen; later the stored position does. `at_once` is the
    number of users whose changes are delivered at the same time; `deadline` is for one delivery.
    `pauses` are the pauses after each failure; after the last one the change is parked. When every
    attempt has failed for `pause_after`, the subscription is paused; None is never.
    """

    name: str
    wants: Wants = field(default_factory=Wants)
    begin: Literal["now", "oldest"] = "now"
    at_once: int = 16
    deadline: float = 30.0
    pauses: tuple[float, ...] = PAUSES
    pause_after: float | None = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is not a subscription's name: it must match {NAME}")
        if self.at_once < 1 or self.deadline <= 0:
            raise ValueError("at_once and deadline must be greater than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A change on its way to a target. `user` is the record as it is now; None if deleted since.

    `attempt` begins at 1. `key` is the same for every attempt: two deliveries with one key are one.
    """

    subscription: str
    change: Change
    user: LocalUser | None
    attempt: int

    @property
    def key(self) -> str:
        return f"{self.subscription}:{self.change.position}"


Target: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""The receiver of changes: a handler in this process, an endpoint or a broker. It returns when the
change is delivered. Any error it raises is a failure, and the change is tried again.
"""


class AsideState(StrEnum):
    """The state of a change that is set aside."""

    WAITING = "waiting"
    """The change is tried again when it is due."""

    PARKED = "parked"
    """All tries failed. An operator retries it or gives it up."""

    SKIPPING = "skipping"
    """An operator gave it up, and the subscription has not noted that yet."""

    GIVEN_UP = "given_up"


RETRIED = frozenset({AsideState.WAITING, AsideState.PARKED})
"""The states of the changes that an operator's `retry` is about, unless it names one change."""

SKIPPED = frozenset({AsideState.PARKED})
"""The same for `skip`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A change that could not be delivered at once. Its user's later changes wait for it.

    `error` is the failure's type and place, never a value. `pause` is in seconds from now.
    """

    position: int
    clerk_id: UserId
    state: AsideState
    attempts: int
    error: str | None = None
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStanding:
    """The state of a subscription.

    Every change up to `position` is dealt with, except those set aside. `holder` is the process
    that runs it now. `behind` counts the numbered changes after `position`, wanted or not;
    `behind_seconds` is the age of the oldest of them that is in the log, or for how long a try of a
    change that waits is overdue, whichever is greater. `fell_behind`: they are not all there.
    `paused_because` is set with `paused_at`: why nothing is read or attempted until it is resumed.
    """

    name: str
    wants: Wants
    position: int
    begins_after: int
    holder: str | None
    behind: int
    behind_seconds: float
    waiting: int
    parked: int
    given_up: int
    moved_at: datetime
    fell_behind: bool
    paused_at: datetime | None = None
    paused_because: str | None = None


def made_of(
    changes: Sequence[Change], standing: SubscriptionStanding, asides: Sequence[SetAside]
) -> Sequence[str]:
    """What became of each change of one user, in words. `asides` are those of that user."""
    by_position = {aside.position: aside for aside in asides}
    held = [aside.position for aside in asides if aside.state is not AsideState.GIVEN_UP]
    first_held = min(held, default=None)
    return [_made(one, standing, by_position.get(one.position), first_held) for one in changes]


def _made(
    change: Change,
    standing: SubscriptionStanding,
    aside: SetAside | None,
    first_held: int | None,
) -> str:
    if change not in standing.wants:
        return "not wanted"
    if change.position == 0:
        return "not read yet"
    if aside is not None:
        return _of(aside)
    if change.position <= standing.begins_after:
        return "before it began"
    if first_held is not None and first_held < change.position:
        return f"held back by change {first_held}"
    return "delivered" if change.position <= standing.position else "not delivered yet"


NOTHING_LEFT = frozenset({"not wanted", "before it began", "given up", "delivered"})
"""What `made_of` says of changes that are not delivered any more, or again."""


def _of(aside: SetAside) -> str:
    match aside.state:
        case AsideState.WAITING if aside.error is None:
            return "not tried yet"
        case AsideState.WAITING:
            failures = f" after {count_of(aside.attempts, 'failure')}" if aside.attempts else ""
            return f"to be tried again{failures}: {aside.error}"
        case AsideState.PARKED:
            return f"parked after {count_of(aside.attempts, 'try', 'tries')}: {aside.error}"
        case AsideState.SKIPPING:
            return "to be given up"
        case AsideState.GIVEN_UP:
            return "given up"
