"""How far the long runs have come."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        create table sync_checkpoints (
            name text not null,
            cursor text not null,
            saved_at timestamptz not null default now(),
            constraint sync_checkpoints_pkey primary key (name)
        )
    """)


def downgrade() -> None:
    op.execute("drop table sync_checkpoints")
