"""Indexes for the bodies that are due, and for the users created just in time."""

from adapters.postgres.migration_step import Step

revision = "0003"
down_revision = "0002"


def upgrade(step: Step) -> None:
    step("""
        create index sync_journal_bodies_idx on our.sync_journal (received_at)
        where body is not null
    """)
    step("""
        create index sync_journal_just_in_time_idx on our.sync_journal (received_at)
        where source = 'jit' and outcome = 'created'
    """)


def downgrade(step: Step) -> None:
    step("drop index our.sync_journal_just_in_time_idx")
    step("drop index our.sync_journal_bodies_idx")
