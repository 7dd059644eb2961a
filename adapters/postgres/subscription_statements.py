"""Subscriptions: the lease, the progress, and what is set aside."""

from adapters.postgres.change_statements import CHANGE, ENDS, PASSED_OVER

# Kinds, sources and fields are stored for `explain` and the console: those of the process that
# declared last. Each process delivers by its own.
DECLARE = f"""
insert into our.user_change_subscriptions (name, position, begins_after, kinds, sources, fields)
select $1, begins.after, begins.after, $2, $3, $4
from (
    select case when $5 then newest else greatest(oldest - 1, 0) end as after from ({ENDS}) as ends
) as begins
on conflict (name) do update
set kinds = excluded.kinds, sources = excluded.sources, fields = excluded.fields
where (user_change_subscriptions.kinds, user_change_subscriptions.sources,
    user_change_subscriptions.fields) is distinct from
    (excluded.kinds, excluded.sources, excluded.fields)
"""  # noqa: S608

TAKE = """
update our.user_change_subscriptions
set holder = $2, held_until = clock_timestamp() + $3::interval
where name = $1 and paused_at is null
    and (holder = $2 or holder is null or held_until < clock_timestamp())
returning position
"""

RELEASE = """
update our.user_change_subscriptions set holder = null, held_until = null
where name = $1 and holder = $2
"""

READ = f"""
select {CHANGE}, exists (
    select from our.user_changes_set_aside as aside
    where aside.clerk_id = change.clerk_id and subscription = $1 and state <> 'given_up'
) as is_held
from our.user_changes as change
where position > $2
order by position
limit $3
"""  # noqa: S608

# A change that expired before it was set aside is not in the log, nor is one that a failover lost.
DUE = f"""
select {CHANGE}, state, attempts, error
from (
    select * from our.user_changes_set_aside
    where subscription = $1 and state in ('waiting', 'skipping') and due_at <= clock_timestamp()
        and clerk_id <> all ($2::text[])
    order by due_at
    limit $3
) as aside
left join our.user_changes using (clerk_id, position)
order by due_at
"""  # noqa: S608

WAITING = """
select count(*) from our.user_changes_set_aside
where subscription = $1 and state in ('waiting', 'skipping')
"""

# The first statement of a save. If it returns no row, another process holds the subscription, or
# what we have read is gone: a failover can lose the newest changes, and others then get their
# positions.
MOVE = """
update our.user_change_subscriptions
set position = $3,
    held_until = clock_timestamp() + $4::interval,
    moved_at = case when position = $3 then moved_at else clock_timestamp() end
where name = $1 and holder = $2
    and $5 <= (select coalesce(max(position), 0) from our.user_changes)
returning name
"""

NOTE_ATTEMPTS = """
update our.user_change_subscriptions
set failing_since = case when $3 then null else coalesce(failing_since, clock_timestamp()) end
where name = $1 and holder = $2
returning extract(epoch from clock_timestamp() - failing_since)::float8
"""

PAUSE = """
update our.user_change_subscriptions set paused_at = clock_timestamp(), paused_because = $3
where name = $1 and holder = $2
returning name
"""

RESUME = """
update our.user_change_subscriptions
set paused_at = null, paused_because = null, failing_since = null
where name = $1 and paused_at is not null
returning name
"""

# What an operator did meanwhile stands, though the attempt in hand failed: a skip by its state, a
# retry by attempts that begin anew. Both are due at once.
SET_ASIDE = """
insert into our.user_changes_set_aside (
    subscription, position, clerk_id, state, attempts, due_at, error)
select $1, position, clerk_id, state, attempts, clock_timestamp() + pause, error
from unnest($2::bigint[], $3::text[], $4::text[], $5::int[], $6::interval[], $7::text[])
    as aside (position, clerk_id, state, attempts, pause, error)
on conflict (subscription, position) do update
set state = case when user_changes_set_aside.state = 'skipping' then 'skipping'
        else excluded.state end,
    due_at = case when user_changes_set_aside.state = 'skipping' then user_changes_set_aside.due_at
        else excluded.due_at end,
    attempts = excluded.attempts, error = excluded.error
where user_changes_set_aside.state <> 'waiting'
    or user_changes_set_aside.attempts >= excluded.attempts - 1
"""


def _passed_over(position: str, subscription: str) -> str:
    """Whether a rewind has passed over that position; null for a subscription without one."""
    return f"""{position} <@ (
        select cursor::int8multirange from our.sync_checkpoints
        where name = '{PASSED_OVER}' || {subscription}
    )"""  # noqa: S608


# The user's next change that was already read is set aside in place of the resolved one. It was
# skipped while that one was set aside.
RESOLVE = f"""
with resolved as materialized (
    select aside.subscription, aside.position, (
        select min(later.position) from our.user_changes as later
        where later.clerk_id = aside.clerk_id
            and later.position > aside.position and later.position <= $3
            and {_passed_over("later.position", "aside.subscription")} is not true
    ) as next
    from our.user_changes_set_aside as aside
    where aside.subscription = $1 and aside.position = any ($2::bigint[])
        and aside.state <> 'given_up'
),
ended as (
    delete from our.user_changes_set_aside as aside using resolved
    where aside.subscription = resolved.subscription and aside.position = resolved.position
        and next is null
)
update our.user_changes_set_aside as aside
set position = next, state = 'waiting', attempts = 0, due_at = clock_timestamp(), error = null,
    set_aside_at = clock_timestamp()
from resolved
where aside.subscription = resolved.subscription and aside.position = resolved.position
    and next is not null
"""  # noqa: S608

# Noted after it has been resolved: then its place in the key is free.
NOTE_GIVEN_UP = """
insert into our.user_changes_set_aside (
    subscription, position, clerk_id, state, attempts, due_at, error)
select $1, position, clerk_id, 'given_up', attempts, clock_timestamp(), error
from unnest($2::bigint[], $3::text[], $4::int[], $5::text[])
    as aside (position, clerk_id, attempts, error)
on conflict (subscription, position) do nothing
"""

STANDINGS = f"""
select
    name, position, begins_after, kinds, sources, fields, moved_at, paused_at, paused_because,
    case when held_until > clock_timestamp() then holder end as holder,
    greatest(ends.newest - position, 0) as behind,
    greatest(0, extract(epoch from clock_timestamp() - least(
        (
            select recorded_at from our.user_changes as next
            where next.position > subscription.position
            order by next.position limit 1
        ),
        (
            select min(due_at) from our.user_changes_set_aside as aside
            where aside.subscription = name and state in ('waiting', 'skipping')
        )
    )))::float8 as behind_seconds,
    (select count(*) from our.user_changes_set_aside as aside
        where aside.subscription = name and state in ('waiting', 'skipping')) as waiting,
    (select count(*) from our.user_changes_set_aside as aside
        where aside.subscription = name and state = 'parked') as parked,
    (select count(*) from our.user_changes_set_aside as aside
        where aside.subscription = name and state = 'given_up') as given_up,
    position > ends.newest or position < ends.oldest - 1 as fell_behind
from our.user_change_subscriptions as subscription
cross join ({ENDS}) as ends
order by name
"""  # noqa: S608

ASIDE = "subscription, position, clerk_id, state, attempts, error"

SET_ASIDE_BY = f"""
select {ASIDE}, extract(epoch from due_at - clock_timestamp())::float8 as pause
from our.user_changes_set_aside where subscription = $1
order by state = 'given_up', position
limit $2
"""  # noqa: S608

# What is passed over counts as given up.
SET_ASIDE_OF = f"""
select {ASIDE}, extract(epoch from due_at - clock_timestamp())::float8 as pause
from our.user_changes_set_aside where clerk_id = $1
union all
select by.name, change.position, change.clerk_id, 'given_up', 0, null, 0
from our.user_changes as change
cross join our.user_change_subscriptions as by
where change.clerk_id = $1 and change.position >= $2
    and {_passed_over("change.position", "by.name")} and not exists (
    select from our.user_changes_set_aside as aside
    where aside.subscription = by.name and aside.position = change.position
)
order by subscription, position
"""  # noqa: S608

# One change that is set aside, or all in these states.
_CHOSEN = """where subscription = $1 and state <> 'given_up'
    and (position = $2 or $2::bigint is null and state = any ($3::text[]))"""

CHOSEN = f"select count(*) from our.user_changes_set_aside {_CHOSEN}"  # noqa: S608

RETRY = f"""
update our.user_changes_set_aside
set state = 'waiting', attempts = 0, due_at = clock_timestamp()
{_CHOSEN}
"""  # noqa: S608

SKIP = f"""
update our.user_changes_set_aside
set state = 'skipping', due_at = clock_timestamp()
{_CHOSEN}
"""  # noqa: S608

# The row is locked, so that the position stays until it is moved.
PASS_OVER = f"""
insert into our.sync_checkpoints as known (name, cursor)
select '{PASSED_OVER}' || name, int8multirange(int8range(position, greatest(position, $2), '(]'))
from our.user_change_subscriptions where name = $1
for update
on conflict (name) do update set saved_at = now(), cursor =
    (known.cursor::int8multirange + excluded.cursor::int8multirange)
    * int8multirange(int8range(null, $2, '[]'))
"""  # noqa: S608

# The process that delivers now finds at its next save that it no longer holds the subscription.
REWIND = """
update our.user_change_subscriptions
set position = $2, begins_after = least(begins_after, $2), moved_at = clock_timestamp(),
    holder = null, held_until = null
where name = $1
returning name
"""

FORGET_BEYOND = """
delete from our.user_changes_set_aside where subscription = $1 and position > $2
"""

REMOVE = f"""
with passed_over as (delete from our.sync_checkpoints where name = '{PASSED_OVER}' || $1)
delete from our.user_change_subscriptions where name = $1 returning name
"""  # noqa: S608
