"""Index all addresses of a user, and external ids of any length, without stopping traffic.

A b-tree entry has at most 2,704 bytes, and Clerk allows longer external ids: hence a hash index.
An index that is built concurrently must stand outside of a transaction, and an attempt that was
interrupted leaves an invalid index behind: it is dropped first.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("alter table users validate constraint users_tombstone_is_empty_check")
        op.execute("drop index concurrently if exists users_email_addresses_idx")
        op.execute("""
            create index concurrently users_email_addresses_idx on users
            using gin (email_addresses jsonb_path_ops)
        """)
        op.execute("drop index concurrently if exists users_external_id_hash_idx")
        op.execute("""
            create index concurrently users_external_id_hash_idx on users
            using hash (external_id) where external_id is not null
        """)
        op.execute("drop index concurrently if exists users_external_id_idx")


def downgrade() -> None:
    op.execute("""
        create index users_external_id_idx on users (external_id) where external_id is not null
    """)
    op.execute("drop index users_external_id_hash_idx")
    op.execute("drop index users_email_addresses_idx")
