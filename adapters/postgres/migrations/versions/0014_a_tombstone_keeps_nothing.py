"""Empty the columns that an older release does not know when it deletes a user.

Release 1.0 may serve beside a newer one. Its statement sets only its own columns to null, so the
check of the tombstone refused its deletions of users whom a newer release had written. A migration
that adds a column to `users` replaces the function.
"""

from adapters.postgres.migration_step import Step

revision = "0014"
down_revision = "0013"


def upgrade(step: Step) -> None:
    step("""
        create function our.users_empty_tombstone() returns trigger language plpgsql as $$
        begin
            new.email_addresses = null;
            new.two_factor_enabled = null;
            new.locked = null;
            new.legal_accepted_at = null;
            new.last_sign_in_at = null;
            return new;
        end
        $$
    """)
    step("""
        create trigger users_empty_tombstone before update on our.users
        for each row when (new.deleted_at is not null)
        execute function our.users_empty_tombstone()
    """)


def downgrade(step: Step) -> None:
    step("drop trigger users_empty_tombstone on our.users")
    step("drop function our.users_empty_tombstone()")
