"""Keep a user's addresses, last sign-in, second factor, lock and consent.

The columns are null in rows that an older release wrote. The check is validated by the next
migration: here that would hold a lock that stops all traffic.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = {
    "email_addresses": "jsonb",
    "two_factor_enabled": "boolean",
    "locked": "boolean",
    "legal_accepted_at": "timestamptz",
    "last_sign_in_at": "timestamptz",
}

_BEFORE = (
    "clerk_created_at, email, email_verified, phone_number, username, first_name, last_name, "
    "image_url, external_id, public_metadata, banned"
)


def upgrade() -> None:
    added = ", ".join(f"add column {name} {kind}" for name, kind in _COLUMNS.items())
    op.execute(f"alter table users {added}")
    _check_tombstones(f"{_BEFORE}, {', '.join(_COLUMNS)}", "not valid")


def downgrade() -> None:
    _check_tombstones(_BEFORE, "")
    dropped = ", ".join(f"drop column {name}" for name in _COLUMNS)
    op.execute(f"alter table users {dropped}")


def _check_tombstones(columns: str, validity: str) -> None:
    op.execute(f"""
        alter table users
        drop constraint users_tombstone_is_empty_check,
        add constraint users_tombstone_is_empty_check
            check (deleted_at is null or num_nonnulls({columns}) = 0) {validity}
    """)
