"""The events of one run, drawn from a seed or by Hypothesis."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Deed(StrEnum):
    """One kind of event."""

    SIGN_UP = "sign_up"
    CHANGE = "change"
    CHANGE_WITHOUT_A_TRACE = "change_without_a_trace"
    """The contents change and `updated_at` stays: a tie."""
    BAN_OR_UNBAN = "ban_or_unban"
    LEAVE = "leave"
    ASK = "ask"
    """`GET /v1/me`."""
    ASK_SLOWLY = "ask_slowly"
    """`GET /v1/me` while Clerk's answers arrive seconds late."""
    KILL = "kill"
    CLERK_FAILS = "clerk_fails"
    CLERK_OUT_OF_REACH = "clerk_out_of_reach"
    STORE_OUT_OF_REACH = "store_out_of_reach"
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    RECONCILE_RECENT = "reconcile_recent"
    REPLAY = "replay"
    FORGET_BODIES = "forget_bodies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event, `pause` seconds after the one before.

    `who` and `where` choose a user and a replica or detail; `seconds` is the duration of an outage.
    """

    deed: Deed
    pause: float = 0.0
    who: int = 0
    where: int = 0
    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `chance` seeds the failures of messages, calls and answers.

    `skew` is the seconds that our clock is ahead of Clerk's, `misfortune` the probability that a
    message is dropped, repeated, delayed or reordered, `loss` that a dropped one never arrives.
    """

    chance: int
    steps: tuple[Step, ...]
    skew: float = 0.0
    misfortune: float = 0.15
    loss: float = 0.3


PAUSES = (0.0, 0.0, 0.0005, 0.003, 0.02, 0.3, 2.0, 31.0, 400.0, 8000.0)
DURATIONS = (0.05, 0.7, 2.0, 12.0, 90.0, 4000.0)
SKEWS = (0.0, 0.0, -4.0, 4.0)

_OFTEN = {
    Deed.SIGN_UP: 5,
    Deed.CHANGE: 8,
    Deed.CHANGE_WITHOUT_A_TRACE: 4,
    Deed.BAN_OR_UNBAN: 2,
    Deed.LEAVE: 4,
    Deed.ASK: 8,
    Deed.ASK_SLOWLY: 4,
    Deed.KILL: 3,
    Deed.CLERK_FAILS: 2,
}


def plan_of(seed: int, length: int = 40) -> Plan:
    """The plan of this seed."""
    chance = random.Random(seed)
    return Plan(
        chance=seed,
        steps=tuple(_step(chance) for _ in range(length)),
        skew=chance.choice(SKEWS),
        misfortune=chance.choice((0.0, 0.1, 0.3)),
    )


def _step(chance: random.Random) -> Step:
    weights = [_OFTEN.get(deed, 1) for deed in Deed]
    return Step(
        deed=chance.choices(list(Deed), weights)[0],
        pause=chance.choice(PAUSES),
        who=chance.randrange(100),
        where=chance.randrange(100),
        seconds=chance.choice(DURATIONS),
    )
