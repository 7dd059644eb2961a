"""Subscriptions to changes: how far each has come, which process runs it, and what it set aside."""

from adapters.postgres.migration_step import Step

revision = "0011"
down_revision = "0010"


def upgrade(step: Step) -> None:
    step("""
        create table our.user_change_subscriptions (
            name text not null,
            position bigint not null,
            begins_after bigint not null,
            kinds text[] not null,
            sources text[] not null,
            fields text[] not null,
            holder text,
            held_until timestamptz,
            created_at timestamptz not null default now(),
            moved_at timestamptz not null default now(),
            constraint user_change_subscriptions_pkey primary key (name)
        )
    """)
    step("""
        create table our.user_changes_set_aside (
            subscription text not null,
            position bigint not null,
            clerk_id text not null,
            state text not null,
            attempts integer not null,
            due_at timestamptz not null,
            error text,
            set_aside_at timestamptz not null default now(),
            constraint user_changes_set_aside_pkey primary key (subscription, position),
            constraint user_changes_set_aside_subscription_fkey foreign key (subscription)
                references our.user_change_subscriptions (name) on delete cascade
        )
    """)
    step("""
        create unique index user_changes_set_aside_users_idx
        on our.user_changes_set_aside (clerk_id, subscription) where state <> 'given_up'
    """)
    step("""
        create index user_changes_set_aside_due_idx
        on our.user_changes_set_aside (subscription, due_at) where state in ('waiting', 'skipping')
    """)


def downgrade(step: Step) -> None:
    step("drop table our.user_changes_set_aside")
    step("drop table our.user_change_subscriptions")
