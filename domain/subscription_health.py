"""Whether the subscriptions to changes are well."""

from collections.abc import Sequence
from datetime import timedelta

from domain.finding import Finding, bad, ok, warn
from domain.subscriptions import SubscriptionStanding
from domain.words import count_of, span

BEHIND_FOR_LONG = timedelta(minutes=5)
"""A subscription whose next change is older than this is behind."""


def changes(standings: Sequence[SubscriptionStanding]) -> Finding:
    """How the subscriptions stand; of several troubles the worst."""
    for one in standings:
        if one.fell_behind:
            words = f"the subscription {one.name} fell behind: its next changes are no longer kept"
            advice = f"run: clerk-user-sync changes rewind {one.name} --to oldest (or now)"
            return bad("changes", words, advice)
    for one in standings:
        if one.paused_at is not None:
            words = f"the subscription {one.name} is paused: {one.paused_because}"
            advice = f"mend its receiver, then run: clerk-user-sync changes resume {one.name}"
            return bad("changes", words, advice)
    if parked := sum(one.parked for one in standings):
        names = ", ".join(one.name for one in standings if one.parked)
        words = f"{count_of(parked, 'change')} could not be delivered: {names}"
        return warn("changes", words, "run: clerk-user-sync changes list, then retry or skip")
    for one in standings:
        late = timedelta(seconds=one.behind_seconds)
        if late > BEHIND_FOR_LONG:
            runs = "is run by no process" if one.holder is None else "is slow"
            words = (
                f"the subscription {one.name} {runs}: {one.behind:,} changes behind, {span(late)}"
            )
            return warn("changes", words, "look at the process that runs it")
    words = f"{count_of(len(standings), 'subscription')} to changes, none in trouble"
    return ok("changes", words)
