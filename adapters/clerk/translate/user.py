"""Translate Clerk's User object, which is the same in webhooks and in the Backend API.

Source: Clerk, Backend API, "The User object". Unknown fields are ignored; null or missing is
accepted wherever Clerk's schema allows it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.clerk.translate.json import (
    YEAR_1971,
    YEAR_2015,
    Unreadable,
    flag,
    json_object,
    moment,
    storable_object,
    text,
)
from domain.user import EmailAddress, User, UserId, parse_user_id

AHEAD = timedelta(minutes=5)
"""How far a time may be ahead of a trusted one: Svix's tolerance."""

LONGEST_EMAIL = 600
"""Characters: far above the 254 of RFC 5321, and small enough for an index entry in Postgres."""


def read_user(data: object, *, observed_at: datetime | None, not_after: datetime | None) -> User:
    """Clerk's User object (webhook `data`, `GET /v1/users/{id}`) as an observation.

    `observed_at` None means `updated_at`. Raises `Unreadable`, also for an `updated_at` that is not
    an integer, is in seconds, or is more than `AHEAD` after `not_after`: a time in the future would
    make all later updates stale.
    """
    fields = json_object(data)
    updated_at = _updated_at(fields, not_after)
    address = _primary(fields, "email_addresses", "primary_email_address_id")
    email = text(address, "email_address")
    if email is not None and len(email) > LONGEST_EMAIL:
        raise Unreadable("too_large")
    phone = _primary(fields, "phone_numbers", "primary_phone_number_id")
    return User(
        clerk_id=user_id(fields),
        clerk_updated_at=updated_at,
        observed_at=observed_at or updated_at,
        clerk_created_at=_optional_time(fields, "created_at"),
        email=email,
        email_verified=email is not None and _is_verified(address),
        phone_number=text(phone, "phone_number"),
        username=text(fields, "username"),
        first_name=text(fields, "first_name"),
        last_name=text(fields, "last_name"),
        image_url=text(fields, "image_url"),
        external_id=text(fields, "external_id"),
        public_metadata=storable_object(fields, "public_metadata"),
        banned=flag(fields, "banned") or flag(fields, "deprovisioned"),
        email_addresses=_email_addresses(fields),
        two_factor_enabled=flag(fields, "two_factor_enabled"),
        locked=flag(fields, "locked"),
        legal_accepted_at=_optional_time(fields, "legal_accepted_at"),
        last_sign_in_at=_optional_time(fields, "last_sign_in_at"),
    )


def user_id(data: Mapping[str, Any]) -> UserId:
    """The `id` of a User or a deleted object. Raises `Unreadable` if it is not a user's."""
    try:
        return parse_user_id(data.get("id"))
    except ValueError:
        raise Unreadable("no_user_id") from None


def _updated_at(data: Mapping[str, Any], not_after: datetime | None) -> datetime:
    value = data.get("updated_at")
    if value is None:
        raise Unreadable("no_updated_at")
    updated_at = moment(value, YEAR_2015, "updated_at_absurd")
    if not_after is not None and updated_at > not_after + AHEAD:
        raise Unreadable("updated_at_absurd")
    return updated_at


def _optional_time(data: Mapping[str, Any], name: str) -> datetime | None:
    """A time that does not order versions. An absurd one is None: the user is kept nevertheless.

    Users may be imported with any `created_at`, even 0.
    """
    value = data.get(name)
    if value is None:
        return None
    try:
        return moment(value, YEAR_1971, "wrong_type")
    except Unreadable:
        return None


def _email_addresses(data: Mapping[str, Any]) -> tuple[EmailAddress, ...]:
    primary_id = data.get("primary_email_address_id")
    return tuple(
        EmailAddress(
            address=address,
            verified=_is_verified(entry),
            primary=primary_id is not None and entry.get("id") == primary_id,
        )
        for entry in _entries(data, "email_addresses")
        if (address := text(entry, "email_address")) is not None
    )


def _primary(data: Mapping[str, Any], name: str, primary_id: str) -> Mapping[str, Any]:
    """The entry with the primary id, or an empty one if there is none. Never simply the first."""
    wanted = data.get(primary_id)
    if wanted is not None:
        for entry in _entries(data, name):
            if entry.get("id") == wanted:
                return entry
    return {}


def _entries(data: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    entries = data.get(name)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise Unreadable("wrong_type")
    return [entry for entry in entries if isinstance(entry, dict)]


def _is_verified(address: Mapping[str, Any]) -> bool:
    verification = address.get("verification")
    return isinstance(verification, dict) and verification.get("status") == "verified"
