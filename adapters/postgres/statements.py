"""The ordering rule of `domain/user.py`, restated once, as one atomic guarded statement.

The statement takes a batch of observations as one array per column, each user and each svix id at
most once; null stands for a column of nulls. It locks the stored rows, decides, writes what is
greater, journals what happened, records what changed and returns the outcomes, all in one round
trip. If another writer inserted a user's row between our snapshot and our insert, that observation
is skipped: it has no result, nothing of it is written, and the caller sends it again.
"""

from collections.abc import Mapping

from adapters.postgres.columns import USER_COLUMNS
from domain.user import ACTIVITY_FIELDS, CONTENT_FIELDS

KEPT = ", ".join(USER_COLUMNS)

BATCH_COLUMNS = {
    "clerk_id": "text",
    "clerk_updated_at": "timestamptz",
    "observed_at": "timestamptz",
    "digest": "bytea",
    "deleted_at": "timestamptz",
    **{name: column.type for name, column in USER_COLUMNS.items()},
    "source": "text",
    "svix_id": "text",
    "event_type": "text",
    "occurred_at": "timestamptz",
    "body": "bytea",
}
"""The columns of one observation, in the order of the statement's parameters."""

TRACED_COLUMNS = {**BATCH_COLUMNS, "traceparent": "text"}
"""The same, where one of the observations is of a request that is traced."""


# Only our own column names are ever put into a statement's text; every value is a parameter.
# In a subselect the planner does not see how long an array is: it makes one generic plan instead of
# a plan for every batch, which would cost more than the work. Its hash joins suit all lengths.
def _parameters(columns: Mapping[str, str]) -> str:
    return ", ".join(f"(select ${n}::{kind}[])" for n, kind in enumerate(columns.values(), 1))


_IDS = "any ((select $1::text[])::text[])"

# The version of an observation and of a row, in the order of `domain.user`. A digest of 16
# bytes is one of release 1.0, without a format byte: it counts as format 0.
_ACTIVITY = "".join(f", coalesce({{0}}.{name}, '-infinity')" for name in ACTIVITY_FIELDS)
_VERSION = f"({{0}}.clerk_updated_at, {{0}}.observed_at, {{0}}.digest{_ACTIVITY})"
_GREATER = f"{_VERSION.format('batch')} > {_VERSION.format('stored')}"


def _differs(name: str) -> str:
    """SQL for the field's name if it differs, else null. Numbers in JSON differ as text: 1, 1.0."""
    column = USER_COLUMNS[name]
    as_text = "::text" if column.type == "jsonb" else ""
    old, new = f"stored.{name}{as_text}", f"batch.{name}{as_text}"
    if column.empty is not None:  # an older release left null in a column that it did not know
        empty = f"{column.empty}::{column.type}{as_text}"
        old, new = f"coalesce({old}, {empty})", f"coalesce({new}, {empty})"
    return f"case when {old} is distinct from {new} then '{name}' end"


_CHANGED = ",\n            ".join(_differs(name) for name in CONTENT_FIELDS)

# A delivery that leaves quarantine is journaled as read now. The user's id is part of that: an
# erasure finds the body by it.
_LEAVING_QUARANTINE = ",\n        ".join(
    f"{name} = case when sync_journal.outcome = 'quarantined' "
    f"then excluded.{name} else sync_journal.{name} end"
    for name in (
        "clerk_id",
        "event_type",
        "occurred_at",
        "outcome",
        "clerk_updated_at",
        "stored_updated_at",
        "body",
    )
)


def _sync(locking: str, is_insertable: str, columns: Mapping[str, str] = BATCH_COLUMNS) -> str:
    trace = ", traceparent" if "traceparent" in columns else ""
    return f"""
with batch as (
    select * from unnest({_parameters(columns)})
        with ordinality as batch ({", ".join(columns)}, ordinal)
),
stored as materialized (
    select
        id, clerk_id, clerk_updated_at, observed_at, deleted_at, {KEPT},
        case when octet_length(digest) = 16 then '\\x00'::bytea || digest else digest end as digest
    from our.users
    where clerk_id = {_IDS}
    order by clerk_id  -- every writer locks in the same order: no deadlock
    {locking}  -- no key: an open insert that references users.id does not block it
),
decided as materialized (
    select
        batch.*,
        stored.clerk_updated_at as stored_updated_at,
        stored.id as stored_id,
        stored.clerk_id is null as is_new,
        case
            when batch.deleted_at is not null and stored.deleted_at is not null then 'unchanged'
            when batch.deleted_at is not null then 'deleted'
            when stored.clerk_id is null then 'created'
            when stored.deleted_at is not null then 'gone'
            when batch.digest = stored.digest
                and batch.clerk_updated_at >= stored.clerk_updated_at then 'unchanged'
            when {_GREATER} then 'updated'
            else 'stale'
        end as outcome,
        case
            when batch.deleted_at is not null
                then stored.deleted_at is null or batch.deleted_at < stored.deleted_at
            when stored.deleted_at is not null then false
            else {_GREATER}
        end as supersedes,
        case when batch.digest <> stored.digest then array_remove(array[
            {_CHANGED}
        ], null) end as changed
    from batch
    left join stored on stored.clerk_id = batch.clerk_id
    order by batch.clerk_id
),
inserted as (
    insert into our.users (
        clerk_id, clerk_updated_at, observed_at, digest, deleted_at, synced_by, {KEPT})
    select
        clerk_id, clerk_updated_at, observed_at, digest, deleted_at, source, {KEPT}
    from decided
    where {is_insertable}
    on conflict (clerk_id) do nothing
    returning clerk_id, id
),
updated as (
    update our.users
    set ({KEPT}) = row ({", ".join(f"decided.{name}" for name in USER_COLUMNS)}),
        clerk_updated_at = decided.clerk_updated_at,
        observed_at = decided.observed_at,
        digest = decided.digest,
        deleted_at = decided.deleted_at,
        last_synced_at = case when outcome = 'unchanged' then last_synced_at else now() end,
        synced_by = case when outcome = 'unchanged' then synced_by else decided.source end
    from decided
    where users.clerk_id = decided.clerk_id and not is_new and supersedes
),
settled as (
    select decided.*, coalesce(stored_id, inserted.id) as user_id
    from decided
    left join inserted on inserted.clerk_id = decided.clerk_id
    where not is_new or inserted.id is not null
),
recorded as (
    insert into our.user_changes (clerk_id, user_id, kind, changed, source, occurred_at{trace})
    select
        clerk_id, user_id, outcome, coalesce(changed, '{{}}'), source,
        coalesce(deleted_at, clerk_updated_at){trace}
    from settled
    where outcome in ('created', 'deleted') or outcome = 'updated' and changed <> '{{}}'
),
journaled as (
    insert into our.sync_journal (
        svix_id, event_type, clerk_id, source, occurred_at, outcome,
        clerk_updated_at, stored_updated_at, body)
    select
        svix_id, event_type, clerk_id, source, occurred_at, outcome,
        clerk_updated_at, stored_updated_at,
        case when deleted_at is null and outcome <> 'gone' then body end
    from settled
    where svix_id is not null or outcome in ('created', 'updated', 'deleted')
    on conflict (svix_id) do update set
        deliveries = sync_journal.deliveries + (excluded.source = 'webhook')::integer,
        last_received_at = case when excluded.source = 'webhook'
            then now() else sync_journal.last_received_at end,
        {_LEAVING_QUARANTINE},
        error = null
    returning svix_id, deliveries, body, clerk_id, event_type
)
select
    ordinal,
    outcome,
    coalesce(deliveries, 0) as deliveries,
    coalesce(
        deliveries > 1 and (
            journaled.body <> settled.body
            or journaled.clerk_id is distinct from settled.clerk_id
            or journaled.event_type is distinct from settled.event_type
        ),
        false
    ) as conflicting
from settled
left join journaled on journaled.svix_id = settled.svix_id
"""  # noqa: S608


_WAITING = ("for no key update", "is_new")
_SKIP_LOCKED = (
    "for no key update skip locked",
    "is_new and not exists (select from our.users where users.clerk_id = decided.clerk_id)",
)

SYNC = _sync(*_WAITING)
"""Waits for rows that another writer has locked."""

SYNC_SKIP_LOCKED = _sync(*_SKIP_LOCKED)
"""Skips rows that another writer has locked: those observations have no result.

A locked row looks new in `decided`. It must not be inserted: the insert would wait for the lock.
"""

WITH_TRACES = {
    SYNC: _sync(*_WAITING, TRACED_COLUMNS),
    SYNC_SKIP_LOCKED: _sync(*_SKIP_LOCKED, TRACED_COLUMNS),
}
"""The same with `TRACED_COLUMNS`: a batch without a trace sends no column for it."""

_READING = ", ".join(
    name if column.empty is None else f"coalesce({name}, {column.empty}) as {name}"
    for name, column in USER_COLUMNS.items()
)
RECORD = f"""id, clerk_id, clerk_updated_at, observed_at, deleted_at,
    created_at, last_synced_at, synced_by, {_READING}"""
"""A row of `users` as it is read."""

GET_MANY = f"""
select {RECORD}
from our.users
where clerk_id = {_IDS}
"""  # noqa: S608

WITHDRAW_VERSION = """
update our.users set clerk_updated_at = $3, observed_at = $3
where clerk_id = $1 and clerk_updated_at in ($2, $3) and deleted_at is null
returning clerk_id
"""
"""Takes a row that has the least version too: the answer to a first try may have been lost."""

LIVE_IDS = """
select clerk_id from our.users
where deleted_at is null and clerk_id > $1
order by clerk_id
limit $2
"""

LOCK_USERS = """
select pg_advisory_xact_lock(hashtextextended('sync_user:' || clerk_id, 0))
from (select distinct clerk_id from unnest($1::text[]) as clerk_id order by clerk_id) as ids
"""

ERASE_BODIES = """
update our.sync_journal set body = null where clerk_id = any ($1::text[]) and body is not null
"""

# The body of a delivery; null if its user is deleted.
_KEPT_BODY = """case when not exists (
        select from our.users where clerk_id = $3 and deleted_at is not null
    ) then {}::bytea end"""

QUARANTINE = f"""
insert into our.sync_journal (
    svix_id, event_type, clerk_id, source, occurred_at, outcome, error, body)
select $1, $2, $3, $4, $5, 'quarantined', $6,
    {_KEPT_BODY.format("$7")}
on conflict (svix_id) do update set
    deliveries = sync_journal.deliveries + 1,
    last_received_at = now()
where sync_journal.outcome = 'quarantined'
    and coalesce(sync_journal.body = $7::bytea, sync_journal.clerk_id is not distinct from $3)
returning id
"""  # noqa: S608
"""Returns nothing if the entry with that svix id is not in quarantine, or is another delivery's."""

JOURNAL_APART = f"""
insert into our.sync_journal (
    svix_id, event_type, clerk_id, source, occurred_at, outcome, clerk_updated_at, body)
select $1, $2, $3, $4, $5, $6, $7,
    {_KEPT_BODY.format("$8")}
on conflict (svix_id) do update set
    deliveries = sync_journal.deliveries + 1,
    last_received_at = now()
"""
"""The entry of a delivery that was applied, under another svix id than its own."""

QUARANTINE_SIZE = """
select count(*) from our.sync_journal where outcome = 'quarantined' and dismissed_at is null
"""
