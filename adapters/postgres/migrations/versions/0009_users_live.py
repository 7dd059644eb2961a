"""A view of the users that are not deleted, for other parts of the application and for reports.

It has neither the digest nor tombstones. A view keeps the columns that it was created with, so a
migration that adds a column to `users` must replace it.
"""

from adapters.postgres.migration_step import Step

revision = "0009"
down_revision = "0008"


def upgrade(step: Step) -> None:
    step("""
        create view our.users_live as
        select
            id, clerk_id, clerk_created_at, email, email_verified, phone_number, username,
            first_name, last_name, image_url, external_id, public_metadata, banned,
            email_addresses, two_factor_enabled, locked, legal_accepted_at, last_sign_in_at,
            clerk_updated_at, observed_at, created_at, last_synced_at, synced_by
        from our.users
        where deleted_at is null
    """)


def downgrade(step: Step) -> None:
    step("drop view our.users_live")
