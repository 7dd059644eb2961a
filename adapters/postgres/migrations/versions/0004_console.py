"""What operators did, and the two lookups the console needs that had no index.

Both indexes are partial: a user without an external id and an ordinary delivery write nothing more.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
        create table operator_actions (
            id bigint generated always as identity,
            started_at timestamptz not null default now(),
            ended_at timestamptz,
            who text not null,
            action text not null,
            target text,
            detail jsonb not null,
            result text,
            constraint operator_actions_pkey primary key (id)
        )
    """)
    op.execute("""
        create index users_external_id_idx on users (external_id) where external_id is not null
    """)
    op.execute("""
        create index sync_journal_uncommon_idx on sync_journal (outcome, id)
        where outcome in ('stale', 'gone', 'deleted')
    """)


def downgrade() -> None:
    op.execute("drop index sync_journal_uncommon_idx")
    op.execute("drop index users_external_id_idx")
    op.execute("drop table operator_actions")
