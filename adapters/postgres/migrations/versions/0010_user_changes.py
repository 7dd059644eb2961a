"""What changed of each user, for whoever reacts to it.

The primary key begins with the user, since a user's changes are looked up; a key of `id` alone
would be one index more to write. A change is numbered when it is first read: until then it is in
the first of the two indexes, afterwards in the second.
"""

from adapters.postgres.migration_step import Step

revision = "0010"
down_revision = "0009"


def upgrade(step: Step) -> None:
    step("""
        create table our.user_changes (
            clerk_id text not null,
            id bigint generated always as identity,
            user_id uuid not null,
            kind text not null,
            changed text[] not null,
            source text not null,
            occurred_at timestamptz not null,
            recorded_at timestamptz not null default now(),
            position bigint,
            constraint user_changes_pkey primary key (clerk_id, id)
        )
    """)
    step("""
        create index user_changes_unnumbered_idx on our.user_changes (id) where position is null
    """)
    step("""
        create unique index user_changes_position_idx on our.user_changes (position)
        where position is not null
    """)


def downgrade(step: Step) -> None:
    step("drop table our.user_changes")
