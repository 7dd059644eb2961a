"""The table held against Clerk, field by field, by a program that shares nothing with ours."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.user import Identification, User
from tests.e2e.load import Fate, Load

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = """
    email, email_verified, phone_number, username, first_name, last_name, image_url, external_id,
    public_metadata, banned, clerk_created_at, clerk_updated_at
"""


async def differences(
    clerk: ClerkEmulator, sql: "asyncpg.Connection[Any]", user_ids: Iterable[str]
) -> dict[str, Any]:
    """Of these users, those that look otherwise in our table than at Clerk, and both looks.

    Who is not at Clerk must be a tombstone; no user may have a second row.
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


async def unrecorded(sql: "asyncpg.Connection[Any]", svix_ids: Iterable[str]) -> set[str]:
    """Which of these svix ids have no journal entry, or one whose user has no row."""
    found = await sql.fetch(
        "select svix_id from sync_journal join users using (clerk_id) where svix_id = any ($1)",
        list(svix_ids),
    )
    return set(svix_ids) - {row["svix_id"] for row in found}


async def assert_redelivery_settles_all(
    load: Load, clerk: ClerkEmulator, sql: "asyncpg.Connection[Any]"
) -> None:
    """After every message once more: one entry for each, one row for each user, as at Clerk."""
    again = await load.redeliver()
    assert {one.status for one in again.attempts} <= {204, 503}
    assert again.told(Fate.ACKNOWLEDGED) == load.svix_ids
    entries = await sql.fetch(
        "select svix_id, count(*) from sync_journal where svix_id = any ($1) group by svix_id",
        list(load.svix_ids),
    )
    assert dict(map(tuple, entries)) == dict.fromkeys(load.svix_ids, 1)
    assert await differences(clerk, sql, load.user_ids) == {}


async def states_of_sessions(sql: "asyncpg.Connection[Any]") -> list[str]:
    """What the services' own sessions on this database are doing."""
    rows = await sql.fetch(
        """
        select state from pg_stat_activity
        where datname = current_database() and application_name = 'clerk-user-sync'
        """
    )
    return [row["state"] for row in rows]


def at_clerk(clerk: ClerkEmulator, user_id: str) -> dict[str, Any] | None:
    """How the row has to look; None if the user is not at Clerk."""
    user = clerk.users.find(user_id)
    if user is None:
        return None
    email = _primary(user, user.primary_email_address_id)
    phone = _primary(user, user.primary_phone_number_id)
    return {
        "email": email and email.value,
        "email_verified": email is not None and not email.reserved,
        "phone_number": phone and phone.value,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image_url": clerk.get_user(user_id)["image_url"],
        "external_id": user.external_id,
        "public_metadata": dict(user.public_metadata),
        "banned": user.banned or user.deprovisioned,
        "clerk_created_at": _EPOCH + timedelta(milliseconds=user.created_at),
        "clerk_updated_at": _EPOCH + timedelta(milliseconds=user.updated_at),
    }


def _primary(user: User, chosen: str | None) -> Identification | None:
    return next((one for one in user.identifications if one.id == chosen), None)


def in_our_table(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """None for a tombstone, of which nothing personal may be left."""
    columns = dict(row)
    del columns["clerk_id"]
    if columns.pop("deleted_at") is not None:
        assert not any(columns.values()), "a tombstone keeps nothing"
        return None
    columns["public_metadata"] = orjson.loads(columns["public_metadata"])
    return columns
