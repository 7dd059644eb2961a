"""Index all addresses of a user, and external ids of any length, without stopping traffic.

A b-tree entry has at most 2,704 bytes, and Clerk allows longer external ids: hence a hash index.
"""

from adapters.postgres.migration_step import Step

revision = "0008"
down_revision = "0007"


def upgrade(step: Step) -> None:
    step.apart("alter table our.users validate constraint users_tombstone_is_empty_check")
    step.index("users_email_addresses_idx", "our.users using gin (email_addresses jsonb_path_ops)")
    step.index(
        "users_external_id_hash_idx",
        "our.users using hash (external_id) where external_id is not null",
    )
    step.drop_index("users_external_id_idx")


def downgrade(step: Step) -> None:
    step("""
        create index users_external_id_idx on our.users (external_id)
        where external_id is not null
    """)
    step("drop index our.users_external_id_hash_idx")
    step("drop index our.users_email_addresses_idx")
