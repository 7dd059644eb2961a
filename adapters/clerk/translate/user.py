"""Clerk's User object in our words: the same in webhooks and in the Backend API."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from adapters.clerk.translate.json import (
    YEAR_1971,
    YEAR_2015,
    Unreadable,
    flag,
    json_object,
    moment,
    require_storable,
    text,
)
from domain.user import EmailAddress, User, UserId, parse_user_id

AHEAD = timedelta(minutes=5)
"""How far a time may lie ahead of one we trust: Svix's own tolerance."""

LONGEST_EMAIL = 600
"""Characters. Far above RFC 5321's 254, and an index entry of Postgres still holds it."""

_NOBODY: Mapping[str, Any] = {}


def read_user(data: object, *, observed_at: datetime | None, not_after: datetime | None) -> User:
    """Clerk's User object (webhook `data`, `GET /v1/users/{id}`) as an observation.

    `observed_at` None means `updated_at`. An `updated_at` more than five minutes after
    `not_after`, in seconds, or not an integer is not believed: it would freeze the row.
    Raises `Unreadable`.
    """
    fields = json_object(data)
    address = _primary(fields, "email_addresses", "primary_email_address_id")
    phone = _primary(fields, "phone_numbers", "primary_phone_number_id")
    email = _email(address)
    updated_at = _updated_at(fields, not_after)
    return User(
        clerk_id=user_id(fields),
        clerk_updated_at=updated_at,
        observed_at=observed_at or updated_at,
        clerk_created_at=_time(fields, "created_at"),
        email=email,
        email_verified=email is not None and _verified(address),
        phone_number=text(phone, "phone_number"),
        username=text(fields, "username"),
        first_name=text(fields, "first_name"),
        last_name=text(fields, "last_name"),
        image_url=text(fields, "image_url"),
        external_id=text(fields, "external_id"),
        public_metadata=_public_metadata(fields),
        banned=flag(fields, "banned") or flag(fields, "deprovisioned"),
        email_addresses=_email_addresses(fields),
        two_factor_enabled=flag(fields, "two_factor_enabled"),
        locked=flag(fields, "locked"),
        legal_accepted_at=_time(fields, "legal_accepted_at"),
        last_sign_in_at=_time(fields, "last_sign_in_at"),
    )


def user_id(data: Mapping[str, Any]) -> UserId:
    """The `id` of a User or a deleted object. Raises `Unreadable` when it is not a user's."""
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


def _time(data: Mapping[str, Any], name: str) -> datetime | None:
    """A time that takes no part in the order. An absurd one is left out: it must not cost the user.

    Users may be imported with any `created_at`, even 0.
    """
    try:
        return moment(data.get(name), YEAR_1971, "wrong_type")
    except Unreadable:
        return None


def _email_addresses(data: Mapping[str, Any]) -> tuple[EmailAddress, ...]:
    primary = data.get("primary_email_address_id")
    entries = data.get("email_addresses") or ()
    if not isinstance(entries, list | tuple):
        raise Unreadable("wrong_type")
    addresses = []
    for entry in entries:
        if isinstance(entry, dict) and (address := text(entry, "email_address")) is not None:
            is_primary = primary is not None and entry.get("id") == primary
            addresses.append(
                EmailAddress(address=address, verified=_verified(entry), primary=is_primary)
            )
    return tuple(addresses)


def _primary(data: Mapping[str, Any], addresses: str, primary_id: str) -> Mapping[str, Any]:
    """The primary address, or nobody's: never just the first one."""
    wanted = data.get(primary_id)
    candidates = data.get(addresses)
    if wanted is None or candidates is None:
        return _NOBODY
    if not isinstance(candidates, list):
        raise Unreadable("wrong_type")
    for candidate in candidates:
        if isinstance(candidate, dict) and candidate.get("id") == wanted:
            return candidate
    return _NOBODY


def _email(address: Mapping[str, Any]) -> str | None:
    email = text(address, "email_address")
    if email is not None and len(email) > LONGEST_EMAIL:
        raise Unreadable("too_large")
    return email


def _verified(address: Mapping[str, Any]) -> bool:
    verification = address.get("verification")
    return isinstance(verification, dict) and verification.get("status") == "verified"


def _public_metadata(data: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = data.get("public_metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise Unreadable("wrong_type")
    require_storable(metadata)
    return metadata
