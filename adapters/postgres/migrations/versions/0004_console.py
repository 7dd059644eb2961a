"""The audit trail, and indexes for two lookups of the console.

Both indexes are partial: users without an external id and common outcomes are not in them.
"""

from adapters.postgres.migration_step import Step

revision = "0004"
down_revision = "0003"


def upgrade(step: Step) -> None:
    step("""
        create table our.operator_actions (
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
    step("""
        create index users_external_id_idx on our.users (external_id) where external_id is not null
    """)
    step("""
        create index sync_journal_uncommon_idx on our.sync_journal (outcome, id)
        where outcome in ('stale', 'gone', 'deleted')
    """)


def downgrade(step: Step) -> None:
    step("drop index our.sync_journal_uncommon_idx")
    step("drop index our.users_external_id_idx")
    step("drop table our.operator_actions")
