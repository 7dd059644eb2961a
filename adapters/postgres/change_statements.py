"""Numbering, reading and expiring changes."""

NUMBERED_AT_ONCE = 10_000
"""Changes that one transaction numbers, so that none is long."""

EXPIRED_UP_TO = "changes.expired"
"""The checkpoint that holds the greatest position that has expired. Of the changes before it, only
those are left that a subscription has set aside, and those that wait for them.
"""

PASSED_OVER = "changes.passed_over:"
"""Before the name of a subscription: the checkpoint that holds, as a multirange, the positions that
rewinds have passed over and that were not read since.
"""

CHANGE = "clerk_id, user_id, kind, changed, source, occurred_at, recorded_at, position, traceparent"

# Every change up to the id $1 has a position; 0 is for none. $2 and $3 are that change's: after a
# failover another one may have its id.
UNNUMBERED = """
select
    newest.id, newest.position, newest.recorded_at,
    exists (select from our.user_changes where position is null and id > $1) as is_behind,
    $1 = 0 or exists (
        select from our.user_changes where id = $1 and position = $2 and recorded_at = $3
    ) as is_known
from (values (0)) as one
left join (
    select id, position, recorded_at from our.user_changes
    where position is not null
    order by position desc
    limit 1
) as newest on true
"""

WRITERS = """
select virtualtransaction as writer from pg_locks
where locktype = 'relation' and relation = 'our.user_changes'::regclass
    and database = (select oid from pg_database where datname = current_database())
    and mode = 'RowExclusiveLock' and granted
"""


NUMBERING_ALONE = """select pg_advisory_xact_lock(
    hashtextextended('number changes ' || 'our.user_changes'::regclass::oid, 0));"""
"""One transaction at a time gives positions."""


# A row gets its id before its commit, so a reader that remembers the greatest id it has seen misses
# the rows that commit late. Positions are given to visible rows only, by one transaction at a time.
# The statements are sent as one query without parameters: the server runs them to the end as one
# transaction, even if we are gone. Each statement takes its own snapshot, so the update sees what
# the last holder of the lock has numbered.
def number_after(settled: int) -> str:
    """Every change up to the id `settled` has a position."""
    return f"""
set transaction isolation level read committed;
{NUMBERING_ALONE}
with unnumbered as materialized (
    select clerk_id, id, row_number() over (order by id) as place
    from (
        select clerk_id, id from our.user_changes
        where position is null and id > {settled:d}
        order by id
        limit {NUMBERED_AT_ONCE}
    ) as next
)
update our.user_changes as change
set position = place + (select coalesce(max(position), 0) from our.user_changes)
from unnumbered
where change.clerk_id = unnumbered.clerk_id and change.id = unnumbered.id
"""  # noqa: S608


# After a dump is restored, positions that were given since would be given again, to other changes.
# A receiver would take those for repetitions. So all move beyond any that can have been given: the
# newest becomes the milliseconds since 1970. A process that held a subscription no longer does.
# The lock of the table waits for those who write positions, so that all that they write moves too.
MOVE_POSITIONS = f"""
{NUMBERING_ALONE}
lock table our.user_change_subscriptions in share row exclusive mode;
with known as (
    select position from our.user_changes where position is not null
    union all select position from our.user_changes_set_aside
),
moved as materialized (
    select greatest(
        (extract(epoch from clock_timestamp()) * 1000)::bigint - max(position),
        max(position) - min(position) + 1
    ) as by
    from known
),
changes as (
    update our.user_changes set position = position + by from moved where position is not null
),
asides as (
    update our.user_changes_set_aside set position = position + by from moved
),
expired as (
    update our.sync_checkpoints set cursor = cursor::bigint + by from moved
    where name = '{EXPIRED_UP_TO}' and by is not null
),
passed_over as (
    update our.sync_checkpoints
    set cursor = (
        select coalesce(range_agg(int8range(lower(one) + by, upper(one) + by)), '{{}}')
        from unnest(cursor::int8multirange) as one
    )
    from moved where starts_with(name, '{PASSED_OVER}') and by is not null
)
update our.user_change_subscriptions
set position = position + by, begins_after = begins_after + by, holder = null, held_until = null
from moved where by is not null
"""  # noqa: S608

AFTER = f"""
select {CHANGE} from our.user_changes where position > $1 order by position limit $2
"""  # noqa: S608

HISTORY = f"""
select {CHANGE} from our.user_changes where clerk_id = $1 order by id desc limit $2
"""  # noqa: S608

ENDS = f"""
select
    coalesce((
        select min(position) from our.user_changes
        where position > coalesce((
            select cursor::bigint from our.sync_checkpoints where name = '{EXPIRED_UP_TO}'
        ), 0)
    ), 0) as oldest,
    coalesce((select max(position) from our.user_changes), 0) as newest
"""  # noqa: S608

# What a subscription has set aside stays, and so do this user's later changes, which wait for it.
_OLD = """
    position < (select max(position) from our.user_changes)
    and not exists (
        select from our.user_changes_set_aside as aside
        where aside.clerk_id = change.clerk_id and state <> 'given_up'
            and aside.position <= change.position
    )
"""

EXPIRE = f"""
with oldest as (
    select clerk_id, id, recorded_at from our.user_changes as change
    where {_OLD}
    order by position
    limit $2
),
gone as (
    delete from our.user_changes as change using oldest
    where change.clerk_id = oldest.clerk_id and change.id = oldest.id
        and oldest.recorded_at < now() - $1::interval
    returning change.position
),
noted as (
    insert into our.sync_checkpoints as known (name, cursor)
    select '{EXPIRED_UP_TO}', max(position) from gone having count(*) > 0
    on conflict (name) do update
    set cursor = greatest(known.cursor::bigint, excluded.cursor::bigint), saved_at = now()
)
select count(*) from gone
"""  # noqa: S608

EXPIRED = f"""
select count(*) from our.user_changes as change
where recorded_at < now() - $1::interval and {_OLD}
"""  # noqa: S608
