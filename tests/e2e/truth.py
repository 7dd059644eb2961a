"""Compares the table with Clerk field by field, without our own code."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.user import Identification, User
from tests.e2e.load import Fate, Load
from tests.postgres_server import Sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = """
    email, email_verified, phone_number, username, first_name, last_name, image_url, external_id,
    public_metadata, banned, email_addresses, two_factor_enabled, locked, legal_accepted_at,
    last_sign_in_at, clerk_created_at, clerk_updated_at
"""


async def differences(clerk: ClerkEmulator, sql: Sql, user_ids: Iterable[str]) -> dict[str, Any]:
    """The users whose row differs from Clerk, with both contents.

    A user who is not at Clerk must be a tombstone. A second row for a user is a difference.
    """
    wanted = {user_id: at_clerk(clerk, user_id) for user_id in user_ids}
    ours: dict[str, list[Any]] = {user_id: [] for user_id in wanted}
    for row in await sql.fetch(
        f"select clerk_id, deleted_at, {_COLUMNS} from users where clerk_id = any ($1)",
        list(wanted),
    ):
        ours[row["clerk_id"]].append(in_our_table(row))
    return {
        user_id: {"clerk": look, "ours": ours[user_id]}
        for user_id, look in wanted.items()
        if ours[user_id] != [look]
    }


async def unrecorded(sql: Sql, svix_ids: Iterable[str]) -> set[str]:
    """The svix ids without a journal entry, or whose entry names a user without a row."""
    found = await sql.fetch(
        "select svix_id from sync_journal join users using (clerk_id) where svix_id = any ($1)",
        list(svix_ids),
    )
    return set(svix_ids) - {row["svix_id"] for row in found}


async def assert_redelivery_settles_all(load: Load, clerk: ClerkEmulator, sql: Sql) -> None:
    """Redeliver every message: each has one entry, each user one row, and they agree with Clerk."""
    again = await load.redeliver()
    assert {one.status for one in again.attempts} <= {204, 503}
    assert again.told(Fate.ACKNOWLEDGED) == load.svix_ids
    entries = await sql.fetch(
        "select svix_id, count(*) from sync_journal where svix_id = any ($1) group by svix_id",
        list(load.svix_ids),
    )
    assert dict(map(tuple, entries)) == dict.fromkeys(load.svix_ids, 1)
    assert await differences(clerk, sql, load.user_ids) == {}


async def states_of_sessions(sql: Sql) -> list[str]:
    """The state of each session of the services on this database."""
    rows = await sql.fetch(
        """
        select state from pg_stat_activity
        where datname = current_database() and application_name = 'clerk-user-sync'
        """
    )
    return [row["state"] for row in rows]


def at_clerk(clerk: ClerkEmulator, user_id: str) -> dict[str, Any] | None:
    """The expected row contents; None if the user is not at Clerk."""
    user = clerk.users.find(user_id)
    if user is None:
        return None
    payload = clerk.get_user(user_id)
    email = _primary(user, user.primary_email_address_id)
    phone = _primary(user, user.primary_phone_number_id)
    return {
        "email": email and email.value,
        "email_verified": email is not None and not email.reserved,
        "phone_number": phone and phone.value,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image_url": payload["image_url"],
        "external_id": user.external_id,
        "public_metadata": dict(user.public_metadata),
        "banned": user.banned or user.deprovisioned,
        "email_addresses": [
            {
                "address": one["email_address"],
                "verified": (one["verification"] or {}).get("status") == "verified",
                "primary": one["id"] == user.primary_email_address_id,
            }
            for one in payload["email_addresses"]
        ],
        "two_factor_enabled": payload["two_factor_enabled"],
        "locked": payload["locked"],
        "legal_accepted_at": _time(payload["legal_accepted_at"]),
        "last_sign_in_at": _time(payload["last_sign_in_at"]),
        "clerk_created_at": _EPOCH + timedelta(milliseconds=user.created_at),
        "clerk_updated_at": _EPOCH + timedelta(milliseconds=user.updated_at),
    }


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)


def _primary(user: User, chosen: str | None) -> Identification | None:
    return next((one for one in user.identifications if one.id == chosen), None)


def in_our_table(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The contents of a row; None for a tombstone, which must be empty."""
    columns = dict(row)
    del columns["clerk_id"]
    if columns.pop("deleted_at") is not None:
        assert not any(columns.values()), "a tombstone keeps nothing"
        return None
    for name in ("public_metadata", "email_addresses"):
        columns[name] = orjson.loads(columns[name])
    return columns
