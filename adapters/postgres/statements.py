"""The ordering rule of `domain/user.py`, restated once, as one atomic guarded statement.

`SYNC` takes a page of observations as one array per column, each user and each svix id at most
once; null stands for a column of nulls. It locks the rows it will hold them against, decides,
writes what is greater, journals what happened and says so, all in one round trip. An observation
whose row another writer inserted between our snapshot and our insert gets no answer, leaves no
trace and is simply asked again.
"""

from domain.user import CONTENT_FIELDS

CONTENTS = ", ".join(CONTENT_FIELDS)

PAGE_COLUMNS = {
    "clerk_id": "text",
    "clerk_updated_at": "timestamptz",
    "observed_at": "timestamptz",
    "digest": "bytea",
    "deleted_at": "timestamptz",
    "clerk_created_at": "timestamptz",
    "email": "text",
    "email_verified": "boolean",
    "phone_number": "text",
    "username": "text",
    "first_name": "text",
    "last_name": "text",
    "image_url": "text",
    "external_id": "text",
    "public_metadata": "jsonb",
    "banned": "boolean",
    "source": "text",
    "svix_id": "text",
    "event_type": "text",
    "occurred_at": "timestamptz",
    "body": "bytea",
}
"""What one observation brings, in the order of the statement's parameters."""

# Only our own column names are ever put into a statement's text; every value is a parameter.
# In a subselect the planner does not see how long an array is: it plans once, not for every page,
# which would cost more than the work. One plan serves all lengths: its joins hash.
_PARAMETERS = ", ".join(
    f"(select ${n}::{kind}[])" for n, kind in enumerate(PAGE_COLUMNS.values(), 1)
)
_IDS = "any ((select $1::text[])::text[])"

# The whole reading, the user's id first of all: an erasure has to find the body.
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

SYNC = f"""
with page as (
    select * from unnest({_PARAMETERS})
        with ordinality as page ({", ".join(PAGE_COLUMNS)}, ordinal)
),
stored as materialized (
    select clerk_id, clerk_updated_at, observed_at, digest, deleted_at
    from users
    where clerk_id = {_IDS}
    order by clerk_id  -- every writer locks in the same order: no deadlock
    for update
),
decided as materialized (
    select
        page.*,
        stored.clerk_updated_at as stored_updated_at,
        stored.clerk_id is null as is_new,
        case
            when page.deleted_at is not null and stored.deleted_at is not null then 'unchanged'
            when page.deleted_at is not null then 'deleted'
            when stored.clerk_id is null then 'created'
            when stored.deleted_at is not null then 'gone'
            when (page.clerk_updated_at, page.digest)
               = (stored.clerk_updated_at, stored.digest) then 'unchanged'
            when (page.clerk_updated_at, page.observed_at, page.digest)
               > (stored.clerk_updated_at, stored.observed_at, stored.digest) then 'updated'
            else 'stale'
        end as outcome,
        case
            when page.deleted_at is not null
                then stored.deleted_at is null or page.deleted_at < stored.deleted_at
            when stored.deleted_at is not null then false
            else (page.clerk_updated_at, page.observed_at, page.digest)
               > (stored.clerk_updated_at, stored.observed_at, stored.digest)
        end as supersedes
    from page
    left join stored on stored.clerk_id = page.clerk_id
    order by page.clerk_id
),
inserted as (
    insert into users (
        clerk_id, clerk_updated_at, observed_at, digest, deleted_at, synced_by, {CONTENTS})
    select
        clerk_id, clerk_updated_at, observed_at, digest, deleted_at, source, {CONTENTS}
    from decided
    where is_new
    on conflict (clerk_id) do nothing
    returning clerk_id
),
updated as (
    update users
    set ({CONTENTS}) = row ({", ".join(f"decided.{name}" for name in CONTENT_FIELDS)}),
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
    select * from decided
    where not is_new or clerk_id in (select clerk_id from inserted)
),
journaled as (
    insert into sync_journal (
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
    returning svix_id, deliveries, body
)
select
    ordinal,
    outcome,
    coalesce(deliveries, 0) as deliveries,
    coalesce(deliveries > 1 and journaled.body <> settled.body, false) as conflicting
from settled
left join journaled on journaled.svix_id = settled.svix_id
"""  # noqa: S608

SYNC_FREE = SYNC.replace("for update", "for update skip locked", 1).replace(
    "where is_new\n",
    "where is_new and not exists (select from users where users.clerk_id = decided.clerk_id)\n",
    1,
)
"""The same without waiting for a row that somebody else has locked: it gets no answer either.

It looks new then, but it is there, so nothing is inserted: an insert would wait for its writer.
"""

_RECORDS = f"""
select id, clerk_id, clerk_updated_at, observed_at, deleted_at,
    created_at, last_synced_at, synced_by, {CONTENTS}
from users
"""  # noqa: S608

GET_MANY = f"{_RECORDS} where clerk_id = {_IDS}"

LIVE_IDS = """
select clerk_id from users
where deleted_at is null and clerk_id > $1
order by clerk_id
limit $2
"""

LOCK_USERS = """
select pg_advisory_xact_lock(hashtextextended('sync_user:' || clerk_id, 0))
from (select distinct clerk_id from unnest($1::text[]) as clerk_id order by clerk_id) as ids
"""

ERASE_BODIES = """
update sync_journal set body = null where clerk_id = any ($1::text[]) and body is not null
"""

QUARANTINE = """
insert into sync_journal (
    svix_id, event_type, clerk_id, source, occurred_at, outcome, error, body)
select $1, $2, $3, $4, $5, 'quarantined', $6,
    case when not exists (
        select from users where clerk_id = $3 and deleted_at is not null
    ) then $7::bytea end
on conflict (svix_id) do update set
    deliveries = sync_journal.deliveries + 1,
    last_received_at = now()
"""

QUARANTINED = "select count(*) from sync_journal where outcome = 'quarantined'"
