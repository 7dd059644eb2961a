"""Find the bodies that are due, and the users created just in time, without reading the rest."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create index sync_journal_bodies_idx on sync_journal (received_at)
        where body is not null
    """)
    op.execute("""
        create index sync_journal_just_in_time_idx on sync_journal (received_at)
        where source = 'jit' and outcome = 'created'
    """)


def downgrade() -> None:
    op.execute("drop index sync_journal_just_in_time_idx")
    op.execute("drop index sync_journal_bodies_idx")
