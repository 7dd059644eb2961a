"""The cursors of long runs."""

from adapters.postgres.migration_step import Step

revision = "0002"
down_revision = "0001"


def upgrade(step: Step) -> None:
    step("""
        create table our.sync_checkpoints (
            name text not null,
            cursor text not null,
            saved_at timestamptz not null default now(),
            constraint sync_checkpoints_pkey primary key (name)
        )
    """)


def downgrade(step: Step) -> None:
    step("drop table our.sync_checkpoints")
