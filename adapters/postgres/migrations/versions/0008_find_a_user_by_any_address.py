"""Index all addresses of a user, and external ids of any length, without stopping traffic.

A b-tree entry has at most 2,704 bytes, and Clerk allows longer external ids: hence a hash index. An
interrupted concurrent build leaves an invalid index behind, so each index is dropped first.
"""

from adapters.postgres.migration_step import Step

revision = "0008"
down_revision = "0007"


def upgrade(step: Step) -> None:
    step.apart(
        "alter table our.users validate constraint users_tombstone_is_empty_check",
        "drop index concurrently if exists our.users_email_addresses_idx",
        """
        create index concurrently users_email_addresses_idx on our.users
        using gin (email_addresses jsonb_path_ops)
        """,
        "drop index concurrently if exists our.users_external_id_hash_idx",
        """
        create index concurrently users_external_id_hash_idx on our.users
        using hash (external_id) where external_id is not null
        """,
        "drop index concurrently if exists our.users_external_id_idx",
    )


def downgrade(step: Step) -> None:
    step("""
        create index users_external_id_idx on our.users (external_id)
        where external_id is not null
    """)
    step("drop index our.users_external_id_hash_idx")
    step("drop index our.users_email_addresses_idx")
