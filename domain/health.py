"""Findings about health, with advice, for doctor, the console and readiness.

Each function judges one fact that its caller has gathered.
`domain/summary.py` sums the findings up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.drift import Sweep
from domain.finding import Finding, Place, bad, command, ok, warn
from domain.ports import SESSION_LEEWAY
from domain.schema import SchemaState, Standing
from domain.words import count_of, span

SKEW_NOTICED = timedelta(seconds=2)

QUIET_FOR_LONG = timedelta(days=1)
"""Doctor warns if no delivery has arrived for this long."""

POLLS_MISSED = 3
A_POLLS_LENGTH = timedelta(minutes=1)
"""Polling counts as broken if no poll has ended for that many intervals and the length of one."""

COMPARISONS_MISSED = 2
A_COMPARISONS_LENGTH = timedelta(minutes=30)
"""The same for full comparisons, here and in the alert of Prometheus."""


def store(error: str | None, *, is_read_only: bool = False) -> Finding:
    """A read-only store leaves the service ready: users who are known are served."""
    if error is not None:
        advice = "check DATABASE_URL, the server and the network between"
        return bad("store", f"the store cannot be reached: {error}", advice, unready=True)
    if is_read_only:
        advice = "let DATABASE_URL lead to the primary"
        return bad("store", "the store takes no writes: it is read-only", advice)
    return ok("store", "the store is reachable")


def schema(state: SchemaState) -> Finding:
    names = ", ".join(state.names)
    match state.standing:
        case Standing.AT_HEAD:
            return ok("schema", "the schema is at head")
        case Standing.AHEAD:
            advice = "nothing needs to be done: this release works with it"
            words = "the store's schema is ahead: a newer release has migrated it"
            return warn("schema", words, advice, degrades="schema_ahead")
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
    return bad("schema", words, advice, unready=True)


def rights(state: SchemaState) -> Finding:
    """Whether the role may do everything that serving needs."""
    if not state.lacking:
        return ok("rights", "the role has every right that serving needs")
    words = f"the role {state.role} lacks {', '.join(state.lacking)}"
    return bad("rights", words, "grant what docs/guides/rights.md lists")


def signing_keys(*, loaded: bool) -> Finding:
    if loaded:
        return ok("signing_keys", "the signing keys are loaded")
    return bad(
        "signing_keys",
        "the signing keys cannot be loaded, so no session token can be checked",
        "check CLERK_PUBLISHABLE_KEY, or CLERK_ISSUER and CLERK_JWKS_URL",
        unready=True,
    )


def draining(*, is_draining: bool) -> Finding:
    if is_draining:
        return bad("not_draining", "the service is stopping", "", unready=True)
    return ok("not_draining", "the service is not stopping")


def clerk(error: str | None, *, key_refused: bool = False) -> Finding:
    if key_refused:
        advice = "take the key from Clerk's dashboard"
        return bad("clerk", "Clerk refuses CLERK_SECRET_KEY", advice)
    if error is not None:
        advice = "see status.clerk.com; known users are served meanwhile"
        return warn("clerk", f"Clerk does not answer: {error}".removesuffix(": "), advice)
    return ok("clerk", "Clerk answers and accepts the secret key")


def instance(
    wanted: str | None, ids: frozenset[str], key_ids: frozenset[str] = frozenset()
) -> Finding:
    """Whether the secret key is of the instance that the settings or the store name.

    `key_ids` are those of the keys that session tokens are checked with, if they are known.
    """
    owners = ", ".join(sorted(ids)) or "no instance"
    if ids and key_ids and ids.isdisjoint(key_ids):
        others = ", ".join(sorted(key_ids))
        words = f"the secret key belongs to {owners}, the signing keys to {others}"
        advice = "take CLERK_SECRET_KEY and CLERK_PUBLISHABLE_KEY from one instance"
        return bad("instance", words, advice)
    if wanted is None:
        advice = "set CLERK_INSTANCE_ID, so that events of other instances are not applied"
        return warn("instance", "the Clerk instance is not pinned yet", advice)
    if wanted in ids:
        return ok("instance", f"the secret key belongs to {wanted}")
    words = f"the secret key belongs to {owners}, not to {wanted}"
    return bad("instance", words, "correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID")


def rows_instance(contradiction: str | None) -> Finding:
    """Whether the rows of the store are of the settings' instance."""
    if contradiction is None:
        return ok("rows", "the rows are of the settings' Clerk instance")
    advice = (
        "correct the settings, or use an empty database or DATABASE_SCHEMA; to keep the rows, see"
    )
    return bad(
        "rows",
        f"the rows are of another Clerk instance than the settings: {contradiction}",
        f"{advice} docs/guides/clerk-instances.md",
        unready=True,
    )


def history(went_back: str | None) -> Finding:
    """Whether the store is known to have gone back, and was not repaired since."""
    if went_back is None:
        return ok("history", "the store has not gone back")
    return bad(
        "history",
        f"the store went back ({went_back}): users may be missing, or live though deleted",
        f"run: {command('reconcile --full --repair')}",
    )


def clock(ours: datetime, clerks: datetime | None) -> Finding:
    """`clerks` is cut to whole seconds: Clerk's clock is half a second further on average."""
    if clerks is None:
        return warn("clock", "Clerk's answer has no Date header", "")
    skew = ours - clerks - timedelta(milliseconds=500)
    side = "ahead of" if skew > timedelta(0) else "behind"
    words = f"this machine's clock is {span(skew)} {side} Clerk's"
    if abs(skew) > SESSION_LEEWAY:  # Svix allows five minutes
        return bad("clock", words, "synchronise it (NTP): valid tokens are refused")
    if abs(skew) > SKEW_NOTICED:
        return warn("clock", words, "synchronise it (NTP)")
    return ok("clock", words)


def jobs(failing: frozenset[str]) -> Finding:
    if not failing:
        return ok("jobs", "no background job fails")
    names = ", ".join(sorted(failing))
    return warn("jobs", f"background jobs fail: {names}", "see the log for job_failed")


def last_delivery(last_at: datetime | None, now: datetime, *, expected: bool = True) -> Finding:
    """`expected` is false where Clerk is polled instead."""
    advice = "look at the endpoint under Configure → Webhooks in Clerk's dashboard"
    if last_at is None and not expected:
        return ok("last_delivery", "no webhook has arrived lately, and none is needed")
    if last_at is None:
        return warn("last_delivery", "no webhook has arrived lately", advice)
    words = f"the last webhook arrived {span(now - last_at)} ago"
    if expected and now - last_at > QUIET_FOR_LONG:
        return warn("last_delivery", words, advice)
    return ok("last_delivery", words)


def quarantine(size: int) -> Finding:
    if size == 0:
        return ok("quarantine", "the quarantine is empty")
    return warn(
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
        return ok("webhooks", "no webhook is needed: Clerk is polled")
    if silent_users == 0:
        return ok("webhooks", "no user was created without a webhook")
    came = "user was" if silent_users == 1 else "users were"
    return bad(
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
        return warn("polling", "the first poll of Clerk has not ended yet", advice)
    if ago < timedelta(0):
        words = f"the last poll of Clerk is {span(ago)} ahead of the store's clock"
        return bad("polling", words, advice)
    words = f"Clerk was last polled {span(ago)} ago"
    if ago > POLLS_MISSED * every + A_POLLS_LENGTH:
        return bad("polling", f"{words}, though POLL_EVERY is {span(every)}", advice)
    return ok("polling", words)


def reconcile(every: timedelta, ago: timedelta | None) -> Finding:
    """Whether the table is compared as `RECONCILE_EVERY` says. `ago` is None before the first."""
    advice = "start the service with RECONCILE_EVERY; if it runs, see its log for job_failed"
    if ago is None:
        return warn("reconcile", "the first full comparison has not ended yet", advice)
    if ago < timedelta(0):
        words = f"the last full comparison is {span(ago)} ahead of the store's clock"
        return bad("reconcile", words, advice)
    words = f"the last full comparison ended {span(ago)} ago"
    if ago > COMPARISONS_MISSED * every + A_COMPARISONS_LENGTH:
        return bad("reconcile", f"{words}, though RECONCILE_EVERY is {span(every)}", advice)
    return ok("reconcile", words)


def users(at_clerk: int) -> Finding:
    """Whether the users are here at all. `at_clerk` is how many Clerk has, while we have none."""
    if at_clerk == 0:
        return ok("users", "neither Clerk nor the store has a user yet")
    words = f"Clerk has {count_of(at_clerk, 'user')}, and none of them is here"
    return warn("users", words, f"run: {command('backfill')}")


def drift(sweep: Sweep | None) -> Finding:
    if sweep is None:
        return ok("drift", "never compared in full yet")
    if not sweep.left:
        return ok("drift", "the last comparison left no difference")
    differing = sweep.left - sweep.unreadable
    counts = (differing, "differed from Clerk"), (sweep.unreadable, "could not be read")
    words = " and ".join(f"{count_of(count, 'user')} {what}" for count, what in counts if count)
    advice = (
        f"look at the differences, then run: {command('reconcile --full --repair')}"
        if differing
        else f"to see who and why, run: {command('reconcile --full')}"
    )
    return warn("drift", f"{words} in the last comparison", advice, place=Place.DRIFT)


def configuration(wrong: Sequence[str], doubtful: Sequence[str]) -> Finding:
    if wrong:
        return bad("configuration", "; ".join(wrong), "see .env.example")
    if doubtful:
        return warn("configuration", "; ".join(doubtful), "see .env.example")
    return ok("configuration", "the configuration is complete")
