"""What is well, what is not, and what to do about it: one judge for doctor, console and readiness.

Each function judges one fact that its caller has gathered.
`domain/summary.py` sums the findings up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.drift import Sweep
from domain.schema import SchemaState, Standing
from domain.words import count_of, span

SKEW_NOTICED = timedelta(seconds=2)
SKEW_HARMFUL = timedelta(seconds=5)
"""The leeway of session tokens; Svix allows five minutes."""

QUIET_FOR_LONG = timedelta(days=1)
"""Doctor warns if no delivery has arrived for this long."""

POLLS_MISSED = 3
A_POLLS_LENGTH = timedelta(minutes=1)
"""So many polls may fail, or one of them take so long, before polling is called broken."""


_IN_A_CHECKOUT = __name__ == "domain.health"
"""In the package, all of our modules are under one name."""


def command(arguments: str, *, in_a_checkout: bool = _IN_A_CHECKOUT) -> str:
    """A command as it is typed here: of the package, or of a checkout."""
    if not in_a_checkout:
        return f"clerk-user-sync {arguments}"
    if arguments == "migrate":
        return "python -m service migrate"
    return f"python -m scripts.replay_webhooks {arguments}"


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Place(StrEnum):
    """The page of the console that shows the cause of a finding and what to do."""

    QUARANTINE = "quarantine"
    DRIFT = "drift"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The judgement of one thing, `about`. `advice` says what to do, if anything can be done.

    `words` and `advice` are clauses in lower case without a full stop. An `unready` finding makes
    the service unready. Any other that is not ok is a degradation, with the name `degrades`.
    """

    about: str
    state: State
    words: str
    advice: str = ""
    unready: bool = False
    place: Place | None = None
    degrades: str = ""

    @property
    def is_ok(self) -> bool:
        return self.state is State.OK

    @property
    def see(self) -> str:
        """The page of the documentation for this trouble; empty if there is none."""
        page = None if self.is_ok else _RUNBOOKS.get(self.about)
        return f"docs/operating/{page}.md" if page else ""


_RUNBOOKS: Mapping[str, str] = {
    "store": "store-failed-over",
    "schema": "upgrading",
    "signing_keys": "clerk-is-down",
    "clerk": "clerk-is-down",
    "polling": "clerk-is-down",
    "jobs": "reconcile-is-overdue",
    "last_delivery": "webhooks-do-not-arrive",
    "webhooks": "webhooks-do-not-arrive",
    "quarantine": "quarantine-fills",
    "drift": "drift-found",
    "history": "restored-from-a-backup",
    "changes": "a-subscription-is-stuck",
}
"""By what a finding is about."""


def store(error: str | None) -> Finding:
    if error is None:
        return _ok("store", "the store is reachable")
    advice = "check DATABASE_URL, the server and the network between"
    return _bad("store", f"the store cannot be reached: {error}", advice, unready=True)


def schema(state: SchemaState) -> Finding:
    names = ", ".join(state.names)
    match state.standing:
        case Standing.AT_HEAD:
            return _ok("schema", "the schema is at head")
        case Standing.AHEAD:
            advice = "nothing needs to be done: this release works with it"
            words = "the store's schema is ahead: a newer release has migrated it"
            return _warn("schema", words, advice, degrades="schema_ahead")
        case Standing.BEHIND:
            words, advice = "the store's schema is behind", f"run: {command('migrate')}"
        case Standing.INCOMPLETE:
            words = f"the store's schema is incomplete: {names} is missing or empty"
            advice = "restore it, or drop what is left of our tables and migrate"
        case Standing.IN_THE_WAY:
            words = f"another application has a table with the name of ours: {names}"
            advice = "set DATABASE_SCHEMA to a schema for our tables alone, and migrate"
        case Standing.WRONG_ENCODING:
            words = f"the database's server_encoding is {names}, which cannot hold every name"
            advice = "create the database with encoding 'UTF8'"
        case Standing.UNREADABLE:
            words = f"the role {state.role} lacks {', '.join(state.lacking)}"
            advice = "grant what docs/guides/rights.md lists"
    return _bad("schema", words, advice, unready=True)


def rights(state: SchemaState) -> Finding:
    """Whether the role may do everything that serving needs."""
    if not state.lacking:
        return _ok("rights", "the role has every right that serving needs")
    words = f"the role {state.role} lacks {', '.join(state.lacking)}"
    return _bad("rights", words, "grant what docs/guides/rights.md lists")


def signing_keys(*, loaded: bool) -> Finding:
    if loaded:
        return _ok("signing_keys", "the signing keys are loaded")
    return _bad(
        "signing_keys",
        "the signing keys cannot be loaded, so no session token can be checked",
        "check CLERK_PUBLISHABLE_KEY, or CLERK_ISSUER and CLERK_JWKS_URL",
        unready=True,
    )


def draining(*, is_draining: bool) -> Finding:
    if is_draining:
        return _bad("not_draining", "the service is stopping", "", unready=True)
    return _ok("not_draining", "the service is not stopping")


def clerk(error: str | None, *, key_refused: bool = False) -> Finding:
    if key_refused:
        advice = "take the key from Clerk's dashboard"
        return _bad("clerk", "Clerk refuses CLERK_SECRET_KEY", advice)
    if error is not None:
        advice = "see status.clerk.com; known users are served meanwhile"
        return _warn("clerk", f"Clerk does not answer: {error}".removesuffix(": "), advice)
    return _ok("clerk", "Clerk answers and accepts the secret key")


def instance(wanted: str | None, ids: frozenset[str]) -> Finding:
    """Whether the secret key is of the instance that the settings or the store name."""
    if wanted is None:
        advice = "set CLERK_INSTANCE_ID, so that events of other instances are not applied"
        return _warn("instance", "the Clerk instance is not pinned yet", advice)
    if wanted in ids:
        return _ok("instance", f"the secret key belongs to {wanted}")
    owners = ", ".join(sorted(ids)) or "no instance"
    words = f"the secret key belongs to {owners}, not to {wanted}"
    return _bad("instance", words, "correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID")


def rows_instance(contradiction: str | None) -> Finding:
    """Whether the rows of the store are of the settings' instance."""
    if contradiction is None:
        return _ok("rows", "the rows are of the settings' Clerk instance")
    advice = (
        "correct the settings, or use an empty database or DATABASE_SCHEMA; to keep the rows, see"
    )
    return _bad(
        "rows",
        f"the rows are of another Clerk instance than the settings: {contradiction}",
        f"{advice} docs/guides/clerk-instances.md",
        unready=True,
    )


def history(went_back: str | None) -> Finding:
    """Whether the store is known to have gone back, and was not repaired since."""
    if went_back is None:
        return _ok("history", "the store has not gone back")
    return _bad(
        "history",
        f"the store went back: {went_back}. Users may be missing, or live though deleted",
        "run: python -m scripts.replay_webhooks reconcile --full --repair",
    )


def clock(ours: datetime, clerks: datetime | None) -> Finding:
    """`clerks` is cut to whole seconds: Clerk's clock is half a second further on average."""
    if clerks is None:
        return _warn("clock", "Clerk's answer has no Date header", "")
    skew = ours - clerks - timedelta(milliseconds=500)
    side = "ahead of" if skew > timedelta(0) else "behind"
    words = f"this machine's clock is {span(skew)} {side} Clerk's"
    if abs(skew) > SKEW_HARMFUL:
        return _bad("clock", words, "synchronise it (NTP): valid tokens are refused")
    if abs(skew) > SKEW_NOTICED:
        return _warn("clock", words, "synchronise it (NTP)")
    return _ok("clock", words)


def jobs(failing: frozenset[str]) -> Finding:
    if not failing:
        return _ok("jobs", "no background job fails")
    names = ", ".join(sorted(failing))
    return _warn("jobs", f"background jobs fail: {names}", "see the log for job_failed")


def last_delivery(last_at: datetime | None, now: datetime, *, expected: bool = True) -> Finding:
    """`expected` is false where Clerk is polled instead."""
    advice = "look at the endpoint under Configure → Webhooks in Clerk's dashboard"
    if last_at is None and not expected:
        return _ok("last_delivery", "no webhook has arrived lately, and none is needed")
    if last_at is None:
        return _warn("last_delivery", "no webhook has arrived lately", advice)
    words = f"the last webhook arrived {span(now - last_at)} ago"
    if expected and now - last_at > QUIET_FOR_LONG:
        return _warn("last_delivery", words, advice)
    return _ok("last_delivery", words)


def quarantine(size: int) -> Finding:
    if size == 0:
        return _ok("quarantine", "the quarantine is empty")
    return _warn(
        "quarantine",
        f"{count_of(size, 'delivery', 'deliveries')} could not be applied",
        f"fix the cause, then run: {command('journal --outcome quarantined')}",
        place=Place.QUARANTINE,
    )


def webhooks(silent_users: int, *, expected: bool = True) -> Finding:
    """Whether webhooks arrive, judged by the users whose `user.created` did not.

    `expected` is false where Clerk is polled instead.
    """
    if not expected:
        return _ok("webhooks", "no webhook is needed: Clerk is polled")
    if silent_users == 0:
        return _ok("webhooks", "no user was created without a webhook")
    came = "user was" if silent_users == 1 else "users were"
    return _bad(
        "webhooks",
        f"webhooks do not reach us: {silent_users:,} {came} created without one",
        "enable the endpoint under Configure → Webhooks in Clerk's dashboard, then run: "
        f"{command('backfill --restart')}",
        place=Place.SILENCE,
    )


def polling(every: timedelta, ago: timedelta | None) -> Finding:
    """Whether Clerk is polled as `POLL_EVERY` says. `ago` is None before the first poll ended."""
    advice = "start the service with POLL_EVERY; if it runs, see its log for job_failed"
    if ago is None:
        return _warn("polling", "the first poll of Clerk has not ended yet", advice)
    words = f"Clerk was last polled {span(ago)} ago"
    if ago > POLLS_MISSED * every + A_POLLS_LENGTH:
        return _bad("polling", f"{words}, though POLL_EVERY is {span(every)}", advice)
    return _ok("polling", words)


def users(at_clerk: int) -> Finding:
    """Whether the users are here at all. `at_clerk` is how many Clerk has, while we have none."""
    if at_clerk == 0:
        return _ok("users", "neither Clerk nor the store has a user yet")
    words = f"Clerk has {count_of(at_clerk, 'user')}, and none of them is here"
    return _warn("users", words, f"run: {command('backfill')}")


def drift(sweep: Sweep | None) -> Finding:
    left = sweep.left if sweep else 0
    if not left:
        return _ok("drift", "the last comparison left no difference")
    return _warn(
        "drift",
        f"{count_of(left, 'user')} differed from Clerk in the last comparison",
        f"look at the differences, then run: {command('reconcile --full --repair')}",
        place=Place.DRIFT,
    )


def configuration(wrong: Sequence[str], doubtful: Sequence[str]) -> Finding:
    if wrong:
        return _bad("configuration", "; ".join(wrong), "see .env.example")
    if doubtful:
        return _warn("configuration", "; ".join(doubtful), "see .env.example")
    return _ok("configuration", "the configuration is complete")


def _ok(about: str, words: str) -> Finding:
    return Finding(about=about, state=State.OK, words=words)


def _warn(
    about: str, words: str, advice: str, place: Place | None = None, degrades: str = ""
) -> Finding:
    return Finding(
        about=about,
        state=State.WARN,
        words=words,
        advice=advice,
        place=place,
        degrades=degrades or about,
    )


def _bad(
    about: str, words: str, advice: str, *, unready: bool = False, place: Place | None = None
) -> Finding:
    return Finding(
        about=about,
        state=State.BAD,
        words=words,
        advice=advice,
        unready=unready,
        place=place,
        degrades="" if unready else about,
    )
