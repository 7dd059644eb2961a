"""Statements that read the journal, and delete what is due. Those for the console are bounded.

The journal has no index by time: ids grow with time, so a time is found by binary search over the
ids, and a page is read backwards from there.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

from domain.journal import DISMISSED, JournalQuery

Statement: TypeAlias = tuple[str, list[Any]]
"""A statement and its parameters."""

LOWEST, HIGHEST = 0, 2**63 - 1
"""Less and more than any id."""

LOOKED_AT = 15_000
"""Entries that one page reads at most; then it tells how far it came."""

LOOKED_UP = 1_000
"""The same for entries that an index finds: each of them may be on another disk page."""

OVERLAP = timedelta(minutes=1)
"""Longer than a writer takes between its `received_at` and its id: see `PoolLimits.deadline`."""

_UNCOMMON = {
    **{word: word for word in ("stale", "gone", "deleted", "quarantined")},
    "dismissed": "quarantined",
}
"""Outcomes with a partial index, and the word in it. Entries with other outcomes are frequent."""

_OUTCOME = """case when outcome = 'quarantined' and dismissed_at is not null
        then 'dismissed' else outcome end"""

ENTRY = f"""
    id, source, {_OUTCOME} as outcome, received_at, last_received_at, deliveries, svix_id,
    event_type, clerk_id, occurred_at, error, clerk_updated_at, stored_updated_at"""

HISTORY = f"""
select {ENTRY}, null::bytea as body from our.sync_journal where clerk_id = $1 order by id
"""  # noqa: S608

_CONDITIONS = {
    "outcomes": f"{_OUTCOME} = any ({{}}::text[])",
    "event_types": "event_type = any ({}::text[])",
    "source": "source = {}",
    "user_id": "clerk_id = {}",
    "svix_id": "svix_id = {}",
    "error": "error = {}",
    "since": "received_at >= {}",
    "until": "received_at < {}",
}


def end_of_span(query: JournalQuery, after: int) -> Statement:
    """The last of as many entries above `after` as one statement may read; no row if all are."""
    walk, walked = _walk(query, first=2)
    text = f"""
        select id from our.sync_journal where id > $1 and {walk}
        order by id
        offset {_looked_at(query) - 1}
        limit 1
    """  # noqa: S608
    return text, [after, *walked]


def deliveries_page(query: JournalQuery, after: int, last: int, size: int) -> Statement:
    """The verified deliveries with `after < id <= last`, oldest first."""
    where, values = _deliveries(query, first=4)
    text = f"""
        select {ENTRY}, body from our.sync_journal
        where id > $1 and id <= $2 and {where}
        order by id
        limit $3
    """  # noqa: S608
    return text, [after, last, size, *values]


def deliveries_count(query: JournalQuery, after: int, last: int) -> Statement:
    where, values = _deliveries(query, first=3)
    text = f"""
        select count(*) from our.sync_journal where id > $1 and id <= $2 and {where}
    """  # noqa: S608
    return text, [after, last, *values]


def dismissal(query: JournalQuery) -> Statement:
    """Dismisses what is selected and in quarantine, and returns how many."""
    where, values = _where(replace(query, outcomes=frozenset()), first=1)
    text = f"""
        with dismissed as (
            update our.sync_journal set dismissed_at = now()
            where outcome = 'quarantined' and dismissed_at is null and {where}
            returning id
        )
        select count(*) from dismissed
    """  # noqa: S608
    return text, values


def entries_page(query: JournalQuery, low: int, high: int, size: int) -> Statement:
    """The entries with `low <= id < high`, newest first; reads a bounded number."""
    walk, walked = _walk(query, first=4)
    rest = replace(query, user_id=None, svix_id=None)
    where, values = _where(rest, first=4 + len(walked))
    text = f"""
        select {ENTRY}, null::bytea as body
        from (
            select * from our.sync_journal where id >= $1 and id < $2 and {walk}
            order by id desc
            limit {_looked_at(query)}
        ) as looked_at
        where {where}
        order by id desc
        limit $3
    """  # noqa: S608
    return text, [low, high, size, *walked, *values]


def last_looked_at(query: JournalQuery, low: int, high: int) -> Statement:
    """The oldest entry that such a page reads; no row if it reached the start of the journal."""
    walk, walked = _walk(query, first=3)
    text = f"""
        select id, received_at from our.sync_journal
        where id >= $1 and id < $2 and {walk}
        order by id desc
        offset {_looked_at(query) - 1}
        limit 1
    """  # noqa: S608
    return text, [low, high, *walked]


def _deliveries(query: JournalQuery, first: int) -> tuple[str, list[Any]]:
    where, values = _where(query, first)
    # A dismissed delivery is replayed or exported only where that is asked for.
    kept = "true" if DISMISSED in query.outcomes else f"{_OUTCOME} <> 'dismissed'"
    return f"svix_id is not null and {_by_outcome(query)} and {kept} and {where}", values


def _where(query: JournalQuery, first: int) -> tuple[str, list[Any]]:
    """The conditions with parameters numbered from `first`, and the parameters.

    No value is put into the text.
    """
    chosen = {name: getattr(query, name) for name in _CONDITIONS}
    asked = {name: value for name, value in chosen.items() if value not in (None, frozenset())}
    conditions = [
        _CONDITIONS[name].format(f"${number}") for number, name in enumerate(asked, start=first)
    ]
    values = [sorted(v) if isinstance(v, frozenset) else v for v in asked.values()]
    return " and ".join(conditions) or "true", values


def _walk(query: JournalQuery, first: int) -> tuple[str, list[Any]]:
    """The conditions by which an index finds the entries to read."""
    by_index = JournalQuery(user_id=query.user_id, svix_id=query.svix_id)
    where, values = _where(by_index, first)
    return f"{where} and {_by_outcome(query)}", values


def _by_outcome(query: JournalQuery) -> str:
    """The condition of a partial index, as a constant of ours: the planner does not match a
    parameter to it.
    """
    outcome = _uncommon(query)
    return f"outcome = '{outcome}'" if outcome else "true"


def _looked_at(query: JournalQuery) -> int:
    scattered = query.user_id or query.svix_id or _uncommon(query)
    return LOOKED_UP if scattered else LOOKED_AT


def _uncommon(query: JournalQuery) -> str | None:
    """The outcome selected, if it is one only and has a partial index."""
    return next((kept for word, kept in _UNCOMMON.items() if query.outcomes == {word}), None)


# Materialized: otherwise the plan may evaluate it twice and skip the rows that it locked itself.
EXPIRE_BODIES = """
with due as materialized (
    select id from our.sync_journal
    where body is not null and received_at < now() - $1::interval
    order by received_at
    limit $2
    for update skip locked  -- an entry that a redelivery has locked is erased the next time
)
update our.sync_journal set body = null from due where sync_journal.id = due.id
"""

EXPIRE_ENTRIES = """
delete from our.sync_journal
where id in (
    select id
    from (select id, received_at from our.sync_journal order by id limit 10 * $2::integer) as oldest
    where received_at < now() - $1::interval
    limit $2::integer
)
"""
"""Ids grow with time: if none of the oldest entries is due, no entry is.

It reads ten times as many as it deletes, to skip entries whose time came from a clock ahead.
"""

EXPIRED_BODIES = """
select count(*) from our.sync_journal where body is not null and received_at < now() - $1::interval
"""

EXPIRED_ENTRIES = f"""
select count(*) filter (where received_at < now() - $1::interval) as due, max(id) as last
from (
    select id, received_at from our.sync_journal where id > $2 order by id limit {LOOKED_AT}
) as looked_at
"""  # noqa: S608
"""How many of the next entries are due. If none of them is, no later one is."""

BODIES_OF = "select count(*) from our.sync_journal where clerk_id = $1 and body is not null"

_SILENT_SINCE = f"""coalesce(
        (select received_at - interval '1 minute' from last_webhook),
        (select '-infinity'::timestamptz where not exists (
            select from our.sync_journal order by id offset {LOOKED_AT} limit 1
        ))
    )"""  # noqa: S608
"""A time before the arrivals after the last webhook (see `OVERLAP`), for the index by time.

Null if the last webhook is further back than is looked for.
"""

SILENT_USERS = f"""
with last_webhook as (
    -- A webhook that is journaled, about anyone, ends the silence. The newest entries are
    -- enough: where a backfill has written more since, the next webhook is among them again.
    select id, received_at
    from (
        select id, source, received_at from our.sync_journal order by id desc limit {LOOKED_AT}
    ) as looked_at
    where source = 'webhook'
    order by id desc
    limit 1
)
select count(distinct arrival.clerk_id)
from our.sync_journal as arrival
join our.users on users.clerk_id = arrival.clerk_id
where arrival.source = 'jit' and arrival.outcome = 'created'
    and arrival.received_at <= now() - $1::interval
    and arrival.received_at >= least(now() - interval '1 day', {_SILENT_SINCE})
    and arrival.id > coalesce((select id from last_webhook), 0)
    -- The user.created of an older user may have been sent before the endpoint existed.
    and users.clerk_created_at > users.observed_at - interval '1 day'  -- both on Clerk's clock
    and not exists (
        select from our.sync_journal as webhook
        where webhook.clerk_id = arrival.clerk_id
            and webhook.event_type = 'user.created' and webhook.source = 'webhook'
    )
"""  # noqa: S608

LAST_DELIVERY = f"""
select now() - received_at as ago
from (
    select source, received_at from our.sync_journal order by id desc limit {LOOKED_AT}
) as looked_at
where source = 'webhook'
limit 1
"""  # noqa: S608

ENTRY_BY_ID = f"select {ENTRY}, body from our.sync_journal where id = $1"  # noqa: S608

FIRST_ID_SINCE = """
with recursive search (low, high) as (
    select min(id), max(id) + 1 from our.sync_journal
    union all
    select
        case when received_at < $1 then id + 1 else low end,
        case when received_at < $1 then high else (low + high) / 2 end
    from search
    cross join lateral (
        select id, received_at from our.sync_journal
        where id >= (low + high) / 2
        order by id
        limit 1
    ) as probe
    where low < high
)
select coalesce(max(low), 0) from search
"""
"""The first id received at or after a time, by binary search. Concurrent writers commit out of
order, so the caller allows for `OVERLAP`.
"""
