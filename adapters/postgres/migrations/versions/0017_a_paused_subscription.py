"""A subscription whose receiver has failed for days is paused."""

from adapters.postgres.migration_step import Step

revision = "0017"
down_revision = "0016"


def upgrade(step: Step) -> None:
    step("""
        alter table our.user_change_subscriptions
            add column failing_since timestamptz,
            add column paused_at timestamptz,
            add column paused_because text
    """)


def downgrade(step: Step) -> None:
    step("""
        alter table our.user_change_subscriptions
            drop column failing_since,
            drop column paused_at,
            drop column paused_because
    """)
