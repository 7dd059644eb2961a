"""What is well, what is not, and what to do about it. Pure: it judges what others looked at."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.explain import span

SKEW_NOTICED = timedelta(seconds=2)
SKEW_HARMFUL = timedelta(seconds=5)
"""The leeway of session tokens. Svix's is five minutes."""

QUIET_FOR_LONG = timedelta(days=1)


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `advice` says what to do, where there is something to do."""

    about: str
    state: State
    words: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """What the store says of webhooks."""

    last_at: datetime | None
    quarantined: int
    silent_users: int


def store(error: str | None) -> Finding:
    if error is None:
        return _ok("store", "reachable")
    return _bad("store", error, "check DATABASE_URL, the server and the network between")


def schema(*, at_head: bool) -> Finding:
    if at_head:
        return _ok("schema", "at head")
    return _bad("schema", "not the one this code needs", "run: python -m service migrate")


def signing_keys(*, loaded: bool) -> Finding:
    if loaded:
        return _ok("signing keys", "loaded")
    advice = "check CLERK_PUBLISHABLE_KEY, or CLERK_ISSUER and CLERK_JWKS_URL"
    return _bad("signing keys", "cannot be loaded: no token can be checked", advice)


def clerk(error: str | None, *, key_refused: bool = False) -> Finding:
    if error is None:
        return _ok("clerk", "answers, and accepts the secret key")
    if key_refused:
        return _bad("clerk", "refuses CLERK_SECRET_KEY", "take the key from Clerk's dashboard")
    return _warn("clerk", error, "see status.clerk.com; known users are served meanwhile")


def instance(wanted: str | None, ids: frozenset[str]) -> Finding:
    """Whether the secret key is of the instance that the settings name."""
    if wanted is None:
        advice = "set CLERK_INSTANCE_ID, so that no other instance's events are applied"
        return _warn("instance", "not pinned", advice)
    if wanted in ids:
        return _ok("instance", wanted)
    words = f"the key is of {', '.join(sorted(ids)) or 'no instance'}, not {wanted}"
    return _bad("instance", words, "correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID")


def clock(ours: datetime, clerks: datetime | None) -> Finding:
    """`clerks` is cut to whole seconds, so half of one is its likeliest rest."""
    if clerks is None:
        return _warn("clock", "Clerk does not tell the time", "")
    skew = ours - clerks - timedelta(milliseconds=500)
    words = f"{span(skew)} {'ahead of' if skew > timedelta(0) else 'behind'} Clerk's"
    if abs(skew) > SKEW_HARMFUL:
        return _bad("clock", words, "synchronise it (NTP): good tokens are refused")
    if abs(skew) > SKEW_NOTICED:
        return _warn("clock", words, "synchronise it (NTP)")
    return _ok("clock", words)


def last_delivery(last_at: datetime | None, now: datetime) -> Finding:
    advice = "look at the endpoint under Configure → Webhooks in Clerk's dashboard"
    if last_at is None:
        return _warn("last delivery", "none has ever come", advice)
    age = now - last_at
    if age > QUIET_FOR_LONG:
        return _warn("last delivery", f"{span(age)} ago", advice)
    return _ok("last delivery", f"{span(age)} ago")


def quarantine(size: int) -> Finding:
    if size == 0:
        return _ok("quarantine", "empty")
    advice = "after the fix, run: replay_webhooks.py journal --status quarantined"
    return _warn("quarantine", f"{size} waiting", advice)


def silence(users: int) -> Finding:
    if users == 0:
        return _ok("webhook silence", "no user came without their webhook")
    return _bad(
        "webhook silence",
        f"{users} created just in time, and their user.created never came",
        "enable the endpoint in Clerk's dashboard, then run: replay_webhooks.py backfill",
    )


def configuration(wrong: list[str], doubtful: list[str]) -> Finding:
    if wrong:
        return _bad("configuration", "; ".join(wrong), "see .env.example")
    if doubtful:
        return _warn("configuration", "; ".join(doubtful), "see .env.example")
    return _ok("configuration", "complete")


def deliveries(seen: Deliveries, now: datetime) -> list[Finding]:
    """What is to be said of webhooks."""
    return [
        last_delivery(seen.last_at, now),
        quarantine(seen.quarantined),
        silence(seen.silent_users),
    ]


def _ok(about: str, words: str) -> Finding:
    return Finding(about=about, state=State.OK, words=words)


def _warn(about: str, words: str, advice: str) -> Finding:
    return Finding(about=about, state=State.WARN, words=words, advice=advice)


def _bad(about: str, words: str, advice: str) -> Finding:
    return Finding(about=about, state=State.BAD, words=words, advice=advice)
