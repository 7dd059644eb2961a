"""What the console asks of the store. Every statement looks at a bounded number of rows.

The journal has no index by time, and needs none: ids are given in the order of time, so a moment
is found by halving the ids, and a page is read backwards from there.
"""

from typing import Any

from adapters.postgres.journal_statements import ENTRY
from domain.console import EntryQuery
from domain.journal import JOURNAL_OUTCOMES

LOWEST, HIGHEST = 0, 2**63 - 1
"""Beyond all ids."""

LOOKED_AT = 15_000
"""Entries that one page may look at before it gives up and says how far it came."""

LOOKED_UP = 1_000
"""The same for entries that lie scattered, for each may be a page of the disk's."""

COUNTED = 12_000
"""Entries that a chart counts one by one."""

BLOCKS, BLOCK = 800, 10
"""Of more it looks at so many blocks of ids, evenly apart, so many entries each."""

FIRST_ID_SINCE = """
with recursive search (low, high) as (
    select min(id), max(id) + 1 from sync_journal
    union all
    select
        case when received_at < $1 then id + 1 else low end,
        case when received_at < $1 then high else (low + high) / 2 end
    from search
    cross join lateral (
        select id, received_at from sync_journal
        where id >= (low + high) / 2
        order by id
        limit 1
    ) as probe
    where low < high
)
select coalesce(max(low), 0) from search
"""
"""The first id received at or after a moment. Writers overlap: allow some seconds for that."""

_UNCOMMON = frozenset({"stale", "gone", "deleted", "quarantined"})
"""Outcomes with an index of their own. The others are never far away."""

_BY_INDEX = {"user_id": "clerk_id = {}", "svix_id": "svix_id = {}"}

_BY_LOOKING = {
    "event_type": "event_type = {}",
    "source": "source = {}",
    "error": "error = {}",
    "since": "received_at >= {}",
    "until": "received_at < {}",
}


def entries_page(query: EntryQuery, low: int, high: int) -> tuple[str, list[Any]]:
    """The statement for the entries wanted with `low <= id < high`, and its parameters.

    Its text is made of our own words only; what was asked for stays in the parameters.
    """
    walk, parameters = _walk(query, low, high)
    conditions = [_common_outcome(query)]
    for name, condition in _BY_LOOKING.items():
        if (value := getattr(query, name)) is not None:
            parameters.append(value)
            conditions.append(condition.format(f"${len(parameters)}"))
    parameters.append(query.limit + 1)
    text = f"""
        select {ENTRY}, null::bytea as body
        from (
            select * from sync_journal where {walk} order by id desc limit {_patience(query)}
        ) as looked
        where {" and ".join(filter(None, conditions)) or "true"}
        order by id desc
        limit ${len(parameters)}
    """  # noqa: S608
    return text, parameters


def last_looked_at(query: EntryQuery, low: int, high: int) -> tuple[str, list[Any]]:
    """The statement for where such a page has to stop looking; no row if it came to the end."""
    walk, parameters = _walk(query, low, high)
    text = f"""
        select id, received_at from sync_journal where {walk}
        order by id desc offset {_patience(query) - 1} limit 1
    """  # noqa: S608
    return text, parameters


def _walk(query: EntryQuery, low: int, high: int) -> tuple[str, list[Any]]:
    conditions, parameters = ["id >= $1", "id < $2"], [low, high]
    for name, condition in _BY_INDEX.items():
        if (value := getattr(query, name)) is not None:
            parameters.append(value)
            conditions.append(condition.format(f"${len(parameters)}"))
    if query.outcome in _UNCOMMON:
        conditions.append(f"outcome = '{_our_word(query.outcome)}'")
    return " and ".join(conditions), parameters


def _patience(query: EntryQuery) -> int:
    named = any(getattr(query, name) is not None for name in _BY_INDEX)
    return LOOKED_UP if named or query.outcome in _UNCOMMON else LOOKED_AT


def _common_outcome(query: EntryQuery) -> str | None:
    if query.outcome is None or query.outcome in _UNCOMMON:
        return None
    return f"outcome = '{_our_word(query.outcome)}'"


def _our_word(outcome: str) -> str:
    """Written out, for a partial index is found by a constant only. Raises `KeyError`."""
    return {word: word for word in JOURNAL_OUTCOMES}[outcome]


ENTRY_BY_ID = f"select {ENTRY}, body from sync_journal where id = $1"  # noqa: S608

LAST_ID = "select coalesce(max(id), 0) from sync_journal"

ACTIVITY = """
with looked as materialized (
    select source, outcome, occurred_at, received_at
    from generate_series($1::bigint, $2::bigint, $3::bigint) as block (first)
    cross join lateral (
        select source, outcome, occurred_at, received_at
        from sync_journal
        where id >= block.first and id < block.first + $4::bigint
        order by id
        limit $4
    ) as entry
)
select
    date_bin($5::interval, received_at, $6) as start,
    source,
    outcome,
    count(*) as entries,
    percentile_disc(array[0.5, 0.99]) within group (order by received_at - occurred_at)
        filter (where source = 'webhook' and occurred_at is not null) as lags
from looked
where received_at >= $6
group by grouping sets ((1, 2, 3), (1))
"""
"""For each step by source and outcome, and once without (there the lags are the step's)."""


def blocks(first: int, last: int) -> tuple[int, int]:
    """How far apart the blocks of ids begin, and how long each is: all of few, a part of many."""
    ids = last - first + 1
    apart = max(1, -(-ids // BLOCKS))
    return apart, BLOCK if ids > COUNTED else apart


LAST_DELIVERY_NEARBY = f"""
select received_at
from (
    select source, received_at from sync_journal order by id desc limit {LOOKED_AT}
) as looked
where source = 'webhook'
limit 1
"""  # noqa: S608

QUARANTINE_GROUPS = f"""
select
    coalesce(error, '') as error,
    count(*) as deliveries,
    array_agg(distinct event_type) filter (where event_type is not null) as event_types,
    min(received_at) as first_at,
    max(last_received_at) as last_at
from (
    select error, event_type, received_at, last_received_at from sync_journal
    where outcome = 'quarantined'
    order by id desc
    limit {COUNTED}
) as looked
group by 1
order by 2 desc, 1
"""  # noqa: S608

_FOUND_USER = """
select id, clerk_id, email, first_name, last_name, external_id, deleted_at, created_at,
    last_synced_at, synced_by
from users
"""

USERS_FOUND = f"""
({_FOUND_USER} where clerk_id = $1)
union ({_FOUND_USER} where id = $2)
union ({_FOUND_USER} where email = any ($3::text[]) limit 20)
union ({_FOUND_USER} where external_id = $1 and external_id is not null limit 20)
order by last_synced_at desc
"""

SIZES = """
select
    (select nullif(reltuples, -1)::bigint from pg_class where oid = to_regclass('users')) as users,
    (select nullif(reltuples, -1)::bigint from pg_class where oid = to_regclass('sync_journal'))
        as entries,
    (select max(id) from sync_journal) is not null as any_entries
"""
"""Not `exists`: that begins where retention has left nothing, and goes on until it finds a row."""

_ACTION = "id, started_at, ended_at, who, action, target, detail, result"

BEGIN_ACTION = """
insert into operator_actions (who, action, target, detail) values ($1, $2, $3, $4) returning id
"""

PROGRESS_OF_ACTION = "update operator_actions set detail = $2 where id = $1"

END_ACTION = """
update operator_actions set detail = $2, result = $3, ended_at = clock_timestamp() where id = $1
"""

LATEST_ACTIONS = f"""
select {_ACTION} from operator_actions where id < $1 order by id desc limit $2
"""  # noqa: S608

LAST_ACTION_OF = f"""
select newest.*
from unnest($1::text[]) as wanted (name)
cross join lateral (
    select {_ACTION} from operator_actions
    where (action, id) <= (wanted.name, {HIGHEST})
    order by action desc, id desc
    limit 1
) as newest
where newest.action = wanted.name
order by newest.id desc
limit 1
"""  # noqa: S608
"""In an order that one index alone has: most of the trail are sign-ins, and not to be walked."""

ACTIONS_ABOUT = f"""
select {_ACTION} from operator_actions where target = $1 order by id desc limit $2
"""  # noqa: S608
