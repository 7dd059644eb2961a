"""One observation of a live user who has no row yet: what most just-in-time syncs are.

Whatever is observed is greater than no record, so nothing is compared here. Where there is a row,
or another writer inserts it at the same time, nothing is written and nothing is returned: then the
statement with the rule takes the observation. See `statements.py`.
"""

from adapters.postgres.statements import BATCH_COLUMNS, KEPT, RECORD

_COLUMNS = tuple(BATCH_COLUMNS)
OBSERVED = _COLUMNS.index("source") + 1
"""How many of `BATCH_COLUMNS` are the observation itself: these and the trace are parameters."""

CREATE = f"""
with inserted as (
    insert into our.users (
        clerk_id, clerk_updated_at, observed_at, digest, deleted_at, {KEPT}, synced_by)
    values ({", ".join(f"${n}" for n in range(1, OBSERVED + 1))})
    on conflict (clerk_id) do nothing
    returning {RECORD}
),
recorded as (
    insert into our.user_changes (
        clerk_id, user_id, kind, changed, source, occurred_at, traceparent)
    select clerk_id, id, 'created', '{{}}', synced_by, clerk_updated_at, ${OBSERVED + 1}
    from inserted
),
journaled as (
    insert into our.sync_journal (clerk_id, source, outcome, clerk_updated_at)
    select clerk_id, synced_by, 'created', clerk_updated_at from inserted
)
select * from inserted
"""  # noqa: S608 - our own column names
