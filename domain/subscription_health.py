"""Whether the subscriptions to changes are well."""

from collections.abc import Sequence
from datetime import timedelta

from domain.change_log import ChangeLog, SubscriptionDesk
from domain.finding import Finding, Place, bad, command, ok, warn
from domain.subscriptions import SubscriptionStanding
from domain.words import count_of, span

BEHIND_FOR_LONG = timedelta(minutes=5)
"""A subscription whose next change is older than this is behind."""


async def standings_now(log: ChangeLog, desk: SubscriptionDesk) -> Sequence[SubscriptionStanding]:
    """Every subscription. Changes that no process has read are numbered first: otherwise a
    subscription that no process runs would not be behind.

    Raises `StorageUnavailable`.
    """
    if standings := await desk.standings():
        await log.number()
        standings = await desk.standings()
    return standings


def changes(standings: Sequence[SubscriptionStanding]) -> Finding:
    """How the subscriptions stand; of several troubles the worst."""
    place = Place.SUBSCRIPTIONS
    for one in standings:
        if one.fell_behind:
            words = f"the position of the subscription {one.name} is not in the log of changes"
            again = command(f"changes rewind {one.name} --to oldest")
            return bad(
                "changes",
                words,
                f"start over, from the oldest or from now; run: {again}",
                place=place,
            )
    for one in standings:
        if one.paused_at is not None:
            words = f"the subscription {one.name} is paused: {one.paused_because}"
            advice = f"mend its receiver, then run: {command(f'changes resume {one.name}')}"
            return bad("changes", words, advice, place=place)
    if parked := sum(one.parked for one in standings):
        names = ", ".join(one.name for one in standings if one.parked)
        words = f"{count_of(parked, 'change')} could not be delivered: {names}"
        advice = f"try them again or give them up; to see them, run: {command('changes list')}"
        return warn("changes", words, advice, place)
    for one in standings:
        late = timedelta(seconds=one.behind_seconds)
        if late > BEHIND_FOR_LONG:
            runs = "is run by no process" if one.holder is None else "is slow"
            overdue = f"{count_of(one.waiting, 'change')} to try again"
            what = f"{one.behind:,} changes behind" if one.behind else overdue
            words = f"the subscription {one.name} {runs}: {what}, {span(late)}"
            return warn("changes", words, "look at the process that runs it", place)
    words = f"{count_of(len(standings), 'subscription')} to changes, none in trouble"
    return ok("changes", words)
