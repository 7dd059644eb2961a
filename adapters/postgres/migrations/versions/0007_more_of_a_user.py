"""Keep a user's addresses, last sign-in, second factor, lock and consent.

The columns are null in rows that an older release wrote. The next migration validates the check:
here that would hold a lock that stops all traffic.
"""

from adapters.postgres.migration_step import Step

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


def upgrade(step: Step) -> None:
    added = ", ".join(f"add column {name} {kind}" for name, kind in _COLUMNS.items())
    step(f"alter table our.users {added}")
    _check_tombstones(step, f"{_BEFORE}, {', '.join(_COLUMNS)}", "not valid")


def downgrade(step: Step) -> None:
    _check_tombstones(step, _BEFORE, "")
    dropped = ", ".join(f"drop column {name}" for name in _COLUMNS)
    step(f"alter table our.users {dropped}")


def _check_tombstones(step: Step, columns: str, validity: str) -> None:
    step(f"""
        alter table our.users
        drop constraint users_tombstone_is_empty_check,
        add constraint users_tombstone_is_empty_check
            check (deleted_at is null or num_nonnulls({columns}) = 0) {validity}
    """)
