"""Statements for the console, except those over the journal's pages. Each one is bounded."""

from adapters.postgres.journal_statements import HIGHEST

COUNTED = 12_000
"""A chart counts up to this many entries one by one."""

BLOCKS, BLOCK = 800, 10
"""Of more entries it counts a sample: 800 blocks of 10 entries, evenly spaced by id."""

LAST_ID = "select coalesce(max(id), 0) from our.sync_journal"

ACTIVITY = """
with looked_at as materialized (
    select source, outcome, occurred_at, received_at
    from generate_series($1::bigint, $2::bigint, $3::bigint) as block (first)
    cross join lateral (
        select source, outcome, occurred_at, received_at
        from our.sync_journal
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
from looked_at
where received_at >= $6
group by grouping sets ((1, 2, 3), (1))
"""
"""Rows for each step, source and outcome, and one row for each step alone, with its lags."""


def blocks(first: int, last: int) -> tuple[int, int]:
    """The distance between the starts of two blocks of ids, and the length of a block."""
    ids = last - first + 1
    apart = max(1, -(-ids // BLOCKS))
    return apart, BLOCK if ids > COUNTED else apart


QUARANTINE_GROUPS = f"""
select
    coalesce(error, '') as error,
    count(*) as deliveries,
    array_agg(distinct event_type) filter (where event_type is not null) as event_types,
    min(received_at) as first_at,
    max(last_received_at) as last_at
from (
    select error, event_type, received_at, last_received_at from our.sync_journal
    where outcome = 'quarantined' and dismissed_at is null
    order by id desc
    limit {COUNTED}
) as looked_at
group by 1
order by 2 desc, 1
"""  # noqa: S608

_FOUND_USER = """
select id, clerk_id, email, first_name, last_name, external_id, banned, locked, deleted_at,
    created_at, last_synced_at, synced_by
from our.users
"""

USERS_FOUND = f"""
({_FOUND_USER} where clerk_id = $1)
union ({_FOUND_USER} where id = $2)
union ({_FOUND_USER} where email = any ($3::text[]) limit 20)
union ({_FOUND_USER} where email_addresses @> any ($4::jsonb[]) limit 20)
union ({_FOUND_USER} where external_id = $1 and external_id is not null limit 20)
order by last_synced_at desc
"""

_PREFIX = """octet_length({0}) <= 512
    and lower({0}) ~>=~ lower($1::text) and lower({0}) ~<~ (lower($1::text) || $2::text)"""

_LIKE = " union ".join(
    f"({_FOUND_USER} where {_PREFIX.format(name)} limit $3)"
    for name in ("email", "first_name", "last_name")
)

USERS_LIKE = f"select * from ({_LIKE}) as found order by email, clerk_id limit $3"  # noqa: S608
"""The prefix $1, up to the greatest character $2.

By bytes, as the indexes are: in the order of a language, a prefix is not one range. The server
lowers both sides, because its rule depends on the locale of the database.
"""

NEWEST_USERS = f"{_FOUND_USER} order by created_at desc limit $1"

NAMES_OF = """
select clerk_id,
    coalesce(nullif(trim(concat_ws(' ', first_name, last_name)), ''), email) as name
from our.users
where clerk_id = any ($1::text[])
"""

CHANGED_SINCE = """
select clerk_id from our.users
join unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::boolean[])
    as listed (clerk_id, moment, seen, is_deleted) using (clerk_id)
where (last_synced_at > moment or observed_at > seen)
    and (deleted_at is not null or not is_deleted)
"""
"""An `unchanged` observation moves `observed_at` alone. Each time is of one clock."""

SIZES = """
select
    coalesce(
        (select nullif(count(*), 1000) from (select from our.users limit 1000) as looked_at),
        (select nullif(reltuples, -1)::bigint from pg_class where oid = to_regclass('our.users'))
    ) as users,
    (select nullif(reltuples, -1)::bigint from pg_class where oid = to_regclass('our.sync_journal'))
        as entries,
    (select max(id) from our.sync_journal) is not null as any_entries,
    exists (select from our.users where deleted_at is null) as any_users
"""
"""`max(id)` reads the newest entry. `exists` would start at the oldest, deleted by retention."""

_ACTION = "id, started_at, ended_at, who, action, target, detail, result"

BEGIN_ACTION = """
insert into our.operator_actions (who, action, target, detail) values ($1, $2, $3, $4) returning id
"""

PROGRESS_OF_ACTION = "update our.operator_actions set detail = $2 where id = $1"

END_ACTION = """
update our.operator_actions set detail = $2, result = $3, ended_at = clock_timestamp() where id = $1
"""

LATEST_ACTIONS = f"""
select {_ACTION} from our.operator_actions where id < $1 order by id desc limit $2
"""  # noqa: S608

LAST_ACTION_OF = f"""
select newest.*
from unnest($1::text[]) as wanted (name)
cross join lateral (
    select {_ACTION} from our.operator_actions
    where (action, id) <= (wanted.name, {HIGHEST})
    order by action desc, id desc
    limit 1
) as newest
where newest.action = wanted.name
order by newest.id desc
limit 1
"""  # noqa: S608
"""It reads one index in order, because most of the trail are sign-ins, which it must skip."""

ACTIONS_ABOUT = f"""
select {_ACTION} from our.operator_actions where target = $1 order by id desc limit $2
"""  # noqa: S608
