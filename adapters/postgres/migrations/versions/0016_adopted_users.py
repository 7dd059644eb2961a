"""Which row of an application's own table is which user of ours, by `clerk-user-sync adopt`.

No foreign key to `users`: its lock would stop traffic during the migration, and a row of `users` is
never removed.
"""

from adapters.postgres.migration_step import Step

revision = "0016"
down_revision = "0015"


def upgrade(step: Step) -> None:
    step("""
        create table our.adopted_users (
            table_name text not null,
            row_id text not null,
            user_id uuid not null,
            matched_by text not null,
            linked_at timestamptz not null default now(),
            constraint adopted_users_pkey primary key (table_name, row_id),
            constraint adopted_users_user_id_key unique (user_id, table_name)
        )
    """)


def downgrade(step: Step) -> None:
    step("drop table our.adopted_users")
