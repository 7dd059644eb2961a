"""One sentence that sums up the findings of `domain/health.py`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.drift import Sweep
from domain.finding import Finding, State
from domain.words import count_of, span

COMPARED_LONG_AGO = timedelta(days=2)
"""The summary names the age of the last full comparison if it is greater than this."""


def troubles(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that are not ok, the bad ones first.

    While the store cannot be used, only that: the other findings are read from it.
    """
    found = [finding for finding in findings if not finding.is_ok]
    of_the_store = [one for one in found if one.about in {"store", "schema"} and one.unready]
    return of_the_store or sorted(found, key=lambda one: one.state is not State.BAD)


def sentence(
    findings: Sequence[Finding],
    *,
    sweep: Sweep | None,
    last_delivery_at: datetime | None,
    any_entries: bool,
    now: datetime,
) -> str:
    """All findings in one sentence, which tells the worst trouble and counts the others."""
    if found := troubles(findings):
        more = f", and {count_of(len(found) - 1, 'thing')} more" if len(found) > 1 else ""
        return f"{found[0].words[0].upper()}{found[0].words[1:]}{more}."
    if not any_entries:
        return "Nothing has arrived yet."
    if polling := next((one.words for one in findings if one.about == "polling"), None):
        return f"{_agreement(sweep, now)}; {polling}."
    if last_delivery_at is None:
        return f"{_agreement(sweep, now)}; no delivery lately."
    return f"{_agreement(sweep, now)}; last delivery {span(now - last_delivery_at)} ago."


def _agreement(sweep: Sweep | None, now: datetime) -> str:
    if sweep is None:
        return "No sign of disagreement with Clerk, though never compared in full"
    if now - sweep.ended_at > COMPARED_LONG_AGO:
        ago = span(now - sweep.ended_at)
        return f"No sign of disagreement with Clerk, last compared in full {ago} ago"
    return "In agreement with Clerk"
