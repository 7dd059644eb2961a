"""One sentence on how things stand, and what to do where they stand badly. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.doctor import State
from domain.explain import span
from domain.sweep import Sweep

LONG_AGO = timedelta(days=2)
"""A comparison older than this says little about now."""


class Place(StrEnum):
    """Where something can be done about it."""

    QUARANTINE = "quarantine"
    DRIFT = "drift"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at. `at_clerk` is False while Clerk does not answer."""

    store: bool
    schema: bool
    signing_keys: bool
    at_clerk: bool
    quarantined: int = 0
    silent_users: int = 0
    last_delivery_at: datetime | None = None
    sweep: Sweep | None = None
    any_entries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is not as it should be. `place` is where to go, if there is such a place."""

    state: State
    words: str
    advice: str
    place: Place | None = None


def troubles(seen: Seen) -> list[Trouble]:
    """The worst first."""
    if not seen.store:
        return [_bad("The store cannot be reached", "Check DATABASE_URL, the server and the way.")]
    if not seen.schema:
        return [_bad("The store's schema is behind", "Run: python -m service migrate")]
    found = [*_of_webhooks(seen), *_of_the_table(seen), *_of_clerk(seen)]
    return sorted(found, key=lambda trouble: trouble.state is not State.BAD)


def sentence(seen: Seen, now: datetime) -> str:
    """The truth in a sentence; of several troubles the worst."""
    if found := troubles(seen):
        return f"{found[0].words}{_and_more(len(found) - 1)}."
    if not seen.any_entries:
        return "Nothing has arrived yet."
    return f"{_agreement(seen.sweep, now)}; {_last_delivery(seen.last_delivery_at, now)}."


def _agreement(sweep: Sweep | None, now: datetime) -> str:
    if sweep is None:
        return "No sign of disagreement with Clerk, though never compared in full"
    if now - sweep.ended_at > LONG_AGO:
        ago = span(now - sweep.ended_at)
        return f"No sign of disagreement with Clerk, last compared in full {ago} ago"
    return "In agreement with Clerk"


def _last_delivery(last_at: datetime | None, now: datetime) -> str:
    return "no delivery lately" if last_at is None else f"last delivery {span(now - last_at)} ago"


def _and_more(count: int) -> str:
    return f", and {_count(count, 'thing')} more" if count else ""


def _of_webhooks(seen: Seen) -> list[Trouble]:
    found = []
    if seen.silent_users:
        found.append(
            _bad(
                f"Webhooks do not reach us: {_count(seen.silent_users, 'user')} came without one",
                "Enable the endpoint under Configure → Webhooks in Clerk's dashboard, "
                "then repair what was missed.",
                Place.SILENCE,
            )
        )
    if seen.quarantined:
        found.append(
            _warn(
                f"{_count(seen.quarantined, 'delivery', 'deliveries')} could not be applied",
                "See why, fix it, and replay them.",
                Place.QUARANTINE,
            )
        )
    return found


def _of_the_table(seen: Seen) -> list[Trouble]:
    left = seen.sweep.left if seen.sweep else 0
    if not left:
        return []
    words = f"{_count(left, 'user')} differed from Clerk when last compared"
    return [_warn(words, "Look at the differences and repair them.", Place.DRIFT)]


def _of_clerk(seen: Seen) -> list[Trouble]:
    found = []
    if not seen.signing_keys:
        advice = "Check CLERK_PUBLISHABLE_KEY, or CLERK_ISSUER and CLERK_JWKS_URL."
        found.append(_bad("No signing keys: session tokens cannot be checked", advice))
    if not seen.at_clerk:
        advice = "See status.clerk.com. Known users are served meanwhile."
        found.append(_warn("Clerk does not answer", advice))
    return found


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _bad(words: str, advice: str, place: Place | None = None) -> Trouble:
    return Trouble(state=State.BAD, words=words, advice=advice, place=place)


def _warn(words: str, advice: str, place: Place | None = None) -> Trouble:
    return Trouble(state=State.WARN, words=words, advice=advice, place=place)
